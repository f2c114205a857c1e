"""Repairing what was damaged, keeping what is the user's, and removing exactly the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from throwaway_machine import ROOT, copy_of_the_checkout

PLUG_IN = ROOT / "gimp_plugin" / "sama_select"


@pytest.fixture
def profile(machine) -> Path:
    return machine.add_gimp("3.0.4")


@pytest.fixture
def target(profile) -> Path:
    return profile / "plug-ins" / "sama_select"


@pytest.fixture
def built(small_wheel) -> list:
    """Options that make an environment with a package of nothing but a version, and do not try it."""
    return ["--package", small_wheel(), "--need-free", "0.1", "--no-self-check"]


@pytest.fixture
def quick(bare_engine) -> list:
    return ["--python", bare_engine, "--no-self-check"]


@pytest.fixture
def weights(machine) -> Path:
    """A model that was downloaded, to be called once SAMA is installed."""
    return machine.sama_home / "weights" / "sam_vit_b.pth"


def download(weights: Path) -> None:
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"w" * 3_000_000)


def own_package(machine) -> Path:
    return next((machine.sama_home / "engine").glob("lib/python3*/site-packages/sama_core"))


# The weights and the settings


def test_removing_asks_about_the_weights_and_keeps_them_unless_told_otherwise(machine, profile, quick, weights):
    machine.install(*quick)
    download(weights)
    text = machine.uninstall()
    assert "sam_vit_b.pth, 3 MB" in text
    assert "nobody to ask" in text
    assert [path for path in machine.home.rglob("*") if path.is_file()] == [weights]


@pytest.mark.parametrize(("answer", "kept"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_the_answer_decides_about_the_weights(machine, profile, quick, weights, answer, kept):
    before = machine.contents()
    machine.install(*quick)
    download(weights)
    done = machine.run("--uninstall", answers=answer)
    assert done.returncode == 0
    assert weights.exists() == kept
    if not kept:
        assert machine.contents() == before


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--keep-weights"], True),
        (["--remove-weights"], False),
        (["--yes"], True),
        (["--yes", "--remove-weights"], False),
    ],
)
def test_options_decide_about_the_weights_without_a_question(machine, profile, quick, weights, options, kept):
    machine.install(*quick)
    download(weights)
    text = machine.uninstall(*options)
    assert weights.exists() == kept
    assert "[y/N]" not in text


def test_nothing_is_asked_where_there_are_no_weights(machine, profile, quick, weights):
    before = machine.contents()
    machine.install(*quick)
    weights.parent.mkdir()
    assert "[y/N]" not in machine.uninstall()
    assert machine.contents() == before


def test_weights_kept_when_the_rest_went_can_be_removed_later(machine, profile, quick, weights):
    machine.install(*quick)
    download(weights)
    machine.uninstall("--keep-weights")
    assert "--remove-weights removes them" in machine.uninstall()
    machine.uninstall("--remove-weights")
    assert not machine.sama_home.exists()


def test_kept_weights_are_there_after_installing_again(machine, profile, quick, weights):
    machine.install(*quick)
    download(weights)
    machine.uninstall("--keep-weights")
    machine.install(*quick)
    assert weights.stat().st_size == 3_000_000
    machine.uninstall("--remove-weights")
    assert not machine.sama_home.exists()


def test_dry_run_says_what_becomes_of_the_weights_and_changes_nothing(machine, profile, quick, weights):
    machine.install(*quick)
    download(weights)
    before = machine.contents()
    says = {"": "stay, unless you want them removed.", "--keep-weights": "stay.", "--remove-weights": "go too."}
    for option, fate in says.items():
        text = machine.uninstall("--dry-run", *filter(None, [option]))
        assert f"The models in {weights.parent} (1 file, 3 MB) {fate}" in text
    assert machine.contents() == before


#: As GIMP 3.0 and 3.2 write them.
HISTORY = """# GIMP action-history

(history-item "view-show-all" 2)
{sama}(history-item "plug-in-sama-select-other" 0)

# end of action-history
"""
SHORTCUTS = """# GIMP shortcutsrc
# If you delete this file, all shortcuts will be reset to defaults.

(file-version 1)

{sama}# (action "plug-in-gfig")
(action "select-all" "<Primary>a")

# end of shortcutsrc
"""


def test_removing_takes_samas_commands_off_gimps_lists(machine, profile, quick):
    machine.install(*quick)
    history, shortcuts = profile / "action-history", profile / "real" / "shortcutsrc"
    history.write_text(HISTORY.format(sama='(history-item "plug-in-sama-select" 0)\n'))
    history.chmod(0o600)
    shortcuts.parent.mkdir()
    commands = '# (action "plug-in-sama-alpha-matte")\n(action "plug-in-sama-select" "<Primary>j" "<Alt>j")\n'
    shortcuts.write_text(SHORTCUTS.format(sama=commands))
    (profile / "shortcutsrc").symlink_to(shortcuts)
    machine.uninstall()
    assert (history.read_text(), history.stat().st_mode & 0o777) == (HISTORY.format(sama=""), 0o600)
    assert shortcuts.read_text() == SHORTCUTS.format(sama="")
    assert sorted(path.name for path in profile.iterdir()) == ["action-history", "real", "shortcutsrc"]
    assert (profile / "shortcutsrc").is_symlink()


def users_own(machine, profile) -> dict[Path, bytes]:
    """What a person has by and by: models, GIMP's last values, other plug-ins, settings; path and content."""
    return {
        machine.sama_home / "weights" / "sam_vit_b.pth": b"weights",
        profile / "plug-in-settings" / "GimpProcedureConfigRun-plug-in-sama-select.last": b'(operation "add")\n',
        profile / "plug-in-settings" / "GimpProcedureConfigRun-plug-in-other.last": b"(radius 3)\n",
        profile / "plug-ins" / "other" / "other.py": b"print('another plug-in')\n",
        profile / "gimprc": b"(show-tips no)\n",
        profile / "action-history": HISTORY.format(sama="").encode(),
    }


def write_all(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_update_keeps_settings_and_weights(machine, profile, built, small_wheel, tmp_path):
    machine.install(*built)
    own = users_own(machine, profile)
    write_all(own)
    record = machine.sama_home / "install.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "device": "cpu"}))
    newer = copy_of_the_checkout(tmp_path / "newer version")
    (newer / "gimp_plugin" / "sama_select" / "sama" / "client.py").write_text("newer = True\n")
    machine.install(
        *("--package", small_wheel("0.2.0"), "--need-free", "0.1", "--no-self-check"),
        installer=newer / "installer" / "install.py",
    )
    assert {path: path.read_bytes() for path in own} == own
    assert (profile / "plug-ins" / "sama_select" / "sama" / "client.py").read_text() == "newer = True\n"
    updated = json.loads(record.read_text())
    assert (updated["device"], updated["version"]) == ("cpu", "0.2.0")


def test_removing_takes_gimps_memory_of_samas_dialogs_and_nothing_of_other_plug_ins(machine, profile, quick):
    own = users_own(machine, profile)
    machine.install(*quick)
    write_all(own)
    machine.uninstall("--keep-weights")
    del own[profile / "plug-in-settings" / "GimpProcedureConfigRun-plug-in-sama-select.last"]
    assert {path: path.read_bytes() for path in machine.home.rglob("*") if path.is_file()} == own


# Repair


def test_what_was_changed_or_is_missing_in_the_plug_in_is_put_back(machine, profile, target, quick):
    machine.install(*quick)
    installed = machine.contents()
    (target / "sama" / "client.py").write_text("broken\n")
    (target / "sama" / "job.py").unlink()
    (target / "sama_select.py").chmod(0o644)
    (machine.sama_home / "install.json").unlink()
    text = machine.install("--repair", "--no-self-check")
    assert f"{target / 'sama' / 'client.py'} was changed" in text
    assert f"{target / 'sama' / 'job.py'} is missing" in text
    assert f"{target / 'sama_select.py'} is not executable" in text
    assert f"{machine.sama_home / 'install.json'} is missing" in text
    assert without_times(machine.contents()) == without_times(installed)


def test_repair_goes_to_where_it_was_installed_and_nowhere_else(machine, profile, quick):
    elsewhere = machine.home / "elsewhere"
    machine.install(*quick, "--gimp-profile", elsewhere)
    (elsewhere / "plug-ins" / "sama_select" / "sama" / "job.py").unlink()
    machine.install("--repair", "--no-self-check")
    assert (elsewhere / "plug-ins" / "sama_select" / "sama" / "job.py").exists()
    assert not profile.exists()


def test_damaged_engine_is_put_back_without_making_the_environment_again(machine, profile, built):
    machine.install(*built)
    elsewhere = machine.sama_home / "engine" / "left-alone"
    elsewhere.write_text("")
    before = machine.contents()
    assert "Every file is as it was installed" in machine.install("--repair", *built)
    assert machine.contents() == before

    weights = own_package(machine) / "weights.bin"
    weights.write_text("weighty")  # the same length
    # Installing again sees nothing wrong: the engine can be imported.
    assert "up to date" in machine.install(*built)
    text = machine.install("--repair", *built)
    assert f"{weights} is missing or changed" in text
    assert weights.read_text() == "weights"
    assert elsewhere.exists()

    (own_package(machine) / "__init__.py").write_text("raise SystemExit(3)\n")
    machine.install("--repair", *built)
    assert "__version__" in (own_package(machine) / "__init__.py").read_text()
    assert elsewhere.exists()


def test_environment_with_another_damaged_package_is_made_again(machine, profile, built, weights):
    machine.install(*built)
    download(weights)
    elsewhere = machine.sama_home / "engine" / "made-before"
    elsewhere.write_text("")
    damaged = own_package(machine).parent / "pip" / "__init__.py"
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:-1])
    text = machine.install("--repair", *built)
    assert f"{damaged} is missing or changed" in text
    assert damaged.read_bytes() == sound
    assert not elsewhere.exists()
    assert weights.exists()


@pytest.mark.parametrize("content", ["{}", '{"schema": 2, "environm'])
def test_damaged_manifest_is_made_anew(machine, profile, quick, bare_engine, content):
    machine.install(*quick)
    manifest = machine.sama_home / "manifest.json"
    installed = json.loads(manifest.read_text())
    manifest.write_text(content)
    assert "--repair" in machine.run("--yes", *quick).stderr
    assert "is made anew" in machine.install("--repair", "--no-self-check")
    remade = json.loads(manifest.read_text())
    assert remade["files"] == installed["files"]
    assert remade["environment"] == installed["environment"]


def test_lost_manifest_is_made_anew_without_making_the_environment_again(machine, profile, built):
    before = machine.contents()
    machine.install(*built)
    manifest = machine.sama_home / "manifest.json"
    installed = json.loads(manifest.read_text())
    elsewhere = machine.sama_home / "engine" / "left-alone"
    elsewhere.write_text("")
    manifest.unlink()
    assert "is made anew" in machine.install("--repair", *built)
    # Not the gigabytes again.
    assert elsewhere.exists()
    remade = json.loads(manifest.read_text())
    assert remade["files"] == installed["files"]
    # Which build of PyTorch was chosen cannot be seen any more; nobody asks, unless another one is wished for.
    assert remade["environment"] == {**installed["environment"], "torch": ""}
    machine.uninstall()
    # Folders that were made for the installation are not known any more; they are empty.
    assert [name for name, what in machine.contents().items() if what[0] == "file"] == list(before)


def test_manifest_of_a_newer_version_is_left_alone(machine, profile, quick):
    machine.install(*quick)
    manifest = machine.sama_home / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 99}))
    before = machine.contents()
    done = machine.run("--yes", "--repair", *quick)
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert machine.contents() == before


def test_manifest_without_hashes_is_understood(machine, profile, target, quick):
    before = machine.contents()
    machine.install(*quick)
    manifest = machine.sama_home / "manifest.json"
    data = json.loads(manifest.read_text())
    del data["new_profiles"]
    manifest.write_text(json.dumps({**data, "schema": 1, "files": list(data["files"])}))
    (target / "sama" / "job.py").unlink()
    assert "is missing" in machine.install("--repair", "--no-self-check")
    machine.uninstall()
    assert machine.contents() == before


def test_repair_where_nothing_is_installed_says_so(machine, profile, quick):
    before = machine.contents()
    done = machine.run("--yes", "--repair", *quick)
    assert done.returncode == 1
    assert "not installed" in done.stderr
    assert machine.contents() == before


def test_dry_run_of_a_repair_says_what_is_damaged_and_changes_nothing(machine, profile, target, quick):
    machine.install(*quick)
    (target / "sama" / "client.py").write_text("broken\n")
    before = machine.contents()
    done = machine.run("--repair", "--dry-run")
    assert done.returncode == 0
    assert "was changed" in done.stdout
    assert machine.contents() == before


def without_times(contents: dict[str, tuple]) -> dict[str, tuple]:
    return {name: (*what[:2], what[-1]) for name, what in contents.items()}
