"""What is on the disk after installing, after installing again, and after taking it away."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway_machine import ROOT, Machine, copy_of_the_checkout

PLUG_IN = ROOT / "gimp_plugin" / "sama_select"


@pytest.fixture
def profile(machine) -> Path:
    return machine.add_gimp("3.0.4")


@pytest.fixture
def built(small_wheel) -> list:
    """Options that make an environment with a package of nothing but a version, and do not try it."""
    return ["--package", small_wheel(), "--need-free", "0.1", "--no-self-check"]


@pytest.fixture
def quick(bare_engine) -> list:
    """Options that use an environment there is, for tests that are not about the environment."""
    return ["--python", bare_engine, "--no-self-check"]


def shipped() -> dict[str, bytes]:
    files = (file for file in PLUG_IN.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {str(file.relative_to(PLUG_IN)): file.read_bytes() for file in files}


def present(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_plug_in_is_copied_whole_with_its_run_bit(machine, profile, quick):
    machine.install(*quick)
    target = profile / "plug-ins" / "sama_select"
    assert present(target) == shipped()
    assert os.access(target / "sama_select.py", os.X_OK)


def test_environment_has_the_package_and_the_record_starts_it(machine, profile, built):
    machine.install(*built)
    record = json.loads((machine.sama_home / "install.json").read_text(encoding="utf-8"))
    assert record.pop("models")["sam_vit_b_01ec64.pth"] == "vit_b"
    assert record == {
        "schema": 1,
        "python": str(machine.sama_home / "engine" / "bin" / "python"),
        "args": ["-m", "sama_core.service"],
        "version": "0.1.0",
    }
    command = [record["python"], "-c", "import sama_core; print(sama_core.__file__)"]
    imported = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    assert imported.startswith(str(machine.sama_home / "engine"))


def test_what_it_keeps_is_private(machine, profile, built):
    machine.install(*built)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in machine.sama_home.iterdir()}
    assert stat.S_IMODE(machine.sama_home.stat().st_mode) == 0o700
    assert (modes["install.json"], modes["manifest.json"]) == (0o600, 0o600)
    assert sorted(modes) == ["engine", "install.json", "manifest.json"]


def test_nothing_is_left_outside_of_its_places(machine, profile, built):
    machine.install(*built)
    outside = [
        name
        for name in machine.contents()
        if not name.startswith((".local/share/sama-gimp", ".config/GIMP/3.0/plug-ins/sama_select"))
    ]
    parents = [
        ".local",
        ".local/share",
        ".config",
        ".config/GIMP",
        ".config/GIMP/3.0",
        ".config/GIMP/3.0/plug-ins",
    ]
    assert sorted(outside) == sorted(parents)
    assert list(machine.temporary.iterdir()) == []


def test_installing_again_changes_nothing(machine, profile, built):
    machine.install(*built)
    before = machine.contents()
    assert "up to date" in machine.install(*built)
    assert machine.contents() == before


def test_removing_leaves_the_home_as_it_was(machine, profile, built):
    before = machine.contents()
    machine.install(*built)
    assert machine.contents() != before
    machine.uninstall()
    assert machine.contents() == before


def test_profile_and_other_plug_ins_are_left_alone(machine, profile, quick):
    other = profile / "plug-ins" / "other" / "other.py"
    other.parent.mkdir(parents=True)
    other.write_text("print('another plug-in')\n")
    (profile / "gimprc").write_text("(show-tips no)\n")
    before = machine.contents()
    machine.install(*quick)
    during = machine.contents()
    assert {name: during[name] for name in before} == before
    machine.uninstall()
    assert machine.contents() == before


def test_removing_takes_what_the_engine_and_python_wrote(machine, profile, quick):
    before = machine.contents()
    machine.install(*quick)
    for name in ("run/engine.lock", "logs/engine.log", "cache/embeddings/0a1b"):
        file = machine.sama_home / name
        file.parent.mkdir(parents=True)
        file.write_text("x")
    compiled = profile / "plug-ins" / "sama_select" / "sama" / "__pycache__" / "client.cpython-313.pyc"
    compiled.parent.mkdir()
    compiled.write_text("x")
    machine.uninstall()
    assert machine.contents() == before


def test_removing_leaves_files_that_are_the_users(machine, profile, quick):
    machine.install(*quick)
    own = [profile / "plug-ins" / "sama_select" / "notes.txt", machine.sama_home / "notes.txt"]
    for file in own:
        file.write_text("mine")
    text = machine.uninstall()
    assert [file.read_text() for file in own] == ["mine", "mine"]
    assert present(machine.home).keys() == {str(file.relative_to(machine.home)) for file in own}
    assert "stays" in text


def test_removing_when_nothing_is_installed_is_no_failure(machine):
    before = machine.contents()
    assert "not installed" in machine.uninstall()
    assert machine.contents() == before


def test_dry_run_of_removing_changes_nothing(machine, profile, quick):
    machine.install(*quick)
    before = machine.contents()
    done = machine.run("--uninstall", "--dry-run")
    assert done.returncode == 0
    assert str(profile / "plug-ins" / "sama_select") in done.stdout
    assert machine.contents() == before


def test_a_second_profile_is_added_to_the_first(machine, profile, quick):
    before = machine.contents()
    machine.install(*quick)
    newer = machine.add_gimp("3.2.6")
    machine.install(*quick)
    for folder in (profile, newer):
        assert present(folder / "plug-ins" / "sama_select") == shipped()
    machine.uninstall()
    assert machine.contents() == before


def test_engine_is_updated_in_place(machine, profile, built, small_wheel):
    before = machine.contents()
    machine.install(*built)
    text = machine.install("--package", small_wheel("0.2.0"), "--no-self-check")
    assert "is updated" in text
    assert json.loads((machine.sama_home / "install.json").read_text(encoding="utf-8"))["version"] == "0.2.0"
    machine.uninstall()
    assert machine.contents() == before


def test_broken_environment_is_made_again(machine, profile, built):
    machine.install(*built)
    (machine.sama_home / "engine" / "bin" / "python").unlink()
    machine.install(*built)
    assert (machine.sama_home / "engine" / "bin" / "python").exists()


def test_environment_of_ones_own_replaces_the_installers(machine, profile, built, quick, bare_engine):
    before = machine.contents()
    machine.install(*built)
    machine.install(*quick)
    assert not (machine.sama_home / "engine").exists()
    record = json.loads((machine.sama_home / "install.json").read_text(encoding="utf-8"))
    assert record["python"] == str(bare_engine)
    machine.uninstall()
    assert machine.contents() == before
    assert bare_engine.exists()


def planned(machine: Machine, *options: str) -> dict:
    shown = machine.run("--dry-run", "--json", *options)
    assert shown.returncode == 0, shown.stderr
    (plan,) = [event for event in map(json.loads, shown.stdout.splitlines()) if event["event"] == "planned"]
    return plan


def test_python_that_was_named_once_is_kept_to(machine, profile, quick, bare_engine):
    machine.install(*quick)
    before = machine.contents()
    plan = planned(machine)
    assert (plan["engine"], plan["python"], plan["steps"]) == ("use", str(bare_engine), ["check"])
    assert "Engine: the one that" in machine.install("--no-self-check")
    assert machine.contents() == before
    for otherwise in (["--own-environment"], ["--torch", "cpu"], ["--package", str(ROOT)]):
        assert planned(machine, *otherwise)["engine"] == "make"


def test_python_that_was_named_once_and_works_no_more_is_told(machine, profile, quick, bare_engine, tmp_path):
    gone = tmp_path / "gone"
    gone.symlink_to(bare_engine.parents[1])
    machine.install("--python", gone / "bin" / "python", "--no-self-check")
    gone.unlink()
    refused(machine, says="--own-environment")
    machine.uninstall()


def test_older_engine_in_ones_own_python_is_told(machine, profile, quick, tmp_path):
    newer = copy_of_the_checkout(tmp_path / "newer version")
    (newer / "sama_core" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    text = machine.install(*quick, installer=newer / "installer" / "install.py")
    assert "has the engine of SAMA 0.1.0, and this is SAMA 0.2.0" in text


def test_build_leaves_the_source_folder_alone(machine, profile, small_source, small_wheel):
    wheel = small_wheel()
    source = small_source(
        f"import os, shutil\nos.makedirs('build')\nshutil.copy({str(wheel)!r}, folder)\nreturn {wheel.name!r}"
    )
    before = present(source)
    machine.install("--package", source, "--need-free", "0.1", "--no-self-check")
    assert present(source) == before
    assert not (machine.sama_home / "installing").exists()


def test_settings_of_the_users_own_python_do_not_leak_in(machine, profile, built):
    trap = machine.folder / "trap"
    (trap / "sama_core").mkdir(parents=True)
    (trap / "sama_core" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    settings = {"PYTHONPATH": str(trap), "PIP_USER": "1", "PIP_TARGET": str(trap), "PYTHONHOME_": "x"}
    machine.install(*built, variables=settings)
    assert sorted(path.name for path in trap.iterdir()) == ["sama_core"]


def test_update_of_the_plug_in_drops_old_files_and_keeps_foreign_ones(machine, profile, quick, tmp_path):
    older = copy_of_the_checkout(tmp_path / "older version")
    (older / "gimp_plugin" / "sama_select" / "sama" / "dropped.py").write_text("")
    (older / "gimp_plugin" / "sama_select" / "sama" / "client.py").write_text("older = True\n")
    machine.install(*quick, installer=older / "installer" / "install.py")
    target = profile / "plug-ins" / "sama_select"
    assert "sama/dropped.py" in present(target)
    (target / "notes.txt").write_text("mine")
    machine.install(*quick)
    assert present(target) == {**shipped(), "notes.txt": b"mine"}
    assert sorted(path.name for path in target.parent.iterdir()) == ["sama_select"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_update_from_modules_beside_the_main_file_leaves_none_of_them(machine, profile, quick, tmp_path, by_hand):
    older = copy_of_the_checkout(tmp_path / "older version")
    plug_in, target = older / "gimp_plugin" / "sama_select", profile / "plug-ins" / "sama_select"
    for module in (plug_in / "sama").iterdir():
        module.rename(plug_in / f"sama_{module.name}")
    (plug_in / "sama").rmdir()
    if by_hand:
        shutil.copytree(plug_in, target)
    else:
        machine.install(*quick, installer=older / "installer" / "install.py")
    assert "sama_client.py" in present(target)
    (target / "notes.txt").write_text("mine")
    machine.install(*quick)
    assert present(target) == {**shipped(), "notes.txt": b"mine"}
    (target / "notes.txt").unlink()
    machine.uninstall()
    assert not target.exists()


def test_hand_made_copy_of_the_plug_in_is_taken_over(machine, profile, quick):
    target = profile / "plug-ins" / "sama_select"
    target.mkdir(parents=True)
    (target / "sama_select.py").write_text("older = True\n")
    machine.install(*quick)
    assert present(target) == shipped()
    machine.uninstall()
    assert not target.exists()
    assert target.parent.exists()


def test_link_in_the_plug_ins_place_is_refused(machine, profile, quick):
    target = profile / "plug-ins" / "sama_select"
    target.parent.mkdir(parents=True)
    target.symlink_to(PLUG_IN)
    refused(machine, *quick, says="Remove the link")


def test_another_plug_in_of_the_same_name_is_refused(machine, profile, quick):
    target = profile / "plug-ins" / "sama_select"
    target.mkdir(parents=True)
    (target / "theirs.py").write_text("")
    refused(machine, *quick, says="Move it away")


def test_folder_with_other_things_is_no_home_for_the_engine(machine, profile, quick):
    (machine.home / "Documents").mkdir()
    refused(machine, *quick, says="a folder of its own", SAMA_HOME=str(machine.home))


def test_relative_sama_home_is_refused(machine, profile, quick):
    refused(machine, *quick, says="full path", SAMA_HOME="engine")


def test_profile_that_cannot_be_written_is_refused_before_anything_is_made(machine, profile, quick):
    profile.mkdir(parents=True)
    (profile / "plug-ins").write_text("a file where a folder should be")
    refused(machine, *quick, says="not a folder you can write to")


def test_full_disk_is_refused_before_anything_is_made(machine, profile, built):
    refused(machine, *built, "--need-free", "1000000", says="Make room")


def test_python_that_is_too_old_is_refused(machine, profile):
    machine.add_program("old-python", "3 9")
    refused(machine, "--python", machine.programs / "old-python", says="3.10 or newer")


def test_python_without_the_engine_is_refused(machine, profile, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    refused(machine, "--python", tmp_path / "bare" / "bin" / "python", says="has no engine in it")


def test_debian_without_python3_venv_is_told_so(machine, profile, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    packages = next(bare.glob("lib/python3*/site-packages"))
    # Debian ships ensurepip in a package of its own.
    (packages / "no_ensurepip.pth").write_text("import sys; sys.modules['ensurepip'] = None\n")
    before = machine.contents()
    command = [str(bare / "bin" / "python"), *machine.command("--yes")[1:]]
    done = subprocess.run(command, env=machine.variables, cwd="/", capture_output=True, text=True)
    assert done.returncode == 1
    assert "sudo apt install python3-venv" in done.stderr
    assert machine.contents() == before


@pytest.mark.parametrize(("answers", "says"), [("n\n", "Nothing was changed"), ("", "--yes")])
def test_nothing_is_done_without_consent(machine, profile, quick, answers, says):
    before = machine.contents()
    done = machine.run(*quick, answers=answers)
    assert done.returncode == 1
    assert says in done.stdout + done.stderr
    assert machine.contents() == before


def test_consent_is_enough(machine, profile, quick):
    assert machine.run(*quick, answers="y\n").returncode == 0


def refused(machine: Machine, *options, says: str, **variables: str) -> None:
    before = machine.contents()
    done = machine.run("--yes", *options, variables=variables)
    assert done.returncode == 1, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.contents() == before
