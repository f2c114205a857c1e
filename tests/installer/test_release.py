"""What `make dist` builds: unpacked in a folder of its own, it installs, and its starters find a Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from throwaway_machine import ROOT

PLUG_IN = ROOT / "gimp_plugin" / "sama_select"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "release" / "build.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's folder, unpacked as people's programs do: with the run bits that the archive holds."""
    target = tmp_path_factory.mktemp("unpacked here")
    with zipfile.ZipFile(next(built.glob("*.zip"))) as archive:
        for entry in archive.infolist():
            file = Path(archive.extract(entry, target))
            file.chmod(entry.external_attr >> 16 & 0o777)
    (top,) = target.iterdir()
    return top


def test_there_are_a_wheel_an_sdist_and_one_archive(built):
    assert sorted(file.suffix for file in built.iterdir()) == [".gz", ".whl", ".zip"]


def test_archive_has_fixed_times_and_sorted_names(built):
    with zipfile.ZipFile(next(built.glob("*.zip"))) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert len({name.split("/")[0] for name in names}) == 1


def test_top_of_the_folder_is_for_people(unpacked):
    files = {file.name for file in unpacked.iterdir() if file.is_file()}
    starters = {"Install SAMA.bat", "Install SAMA.command", "Install SAMA.desktop", "install.sh", "install.py"}
    assert files == starters | {"LICENSE", "requirements.lock"}
    for name in ("Install SAMA.command", "Install SAMA.desktop", "install.sh"):
        assert os.access(unpacked / name, os.X_OK)
    assert b"\r\n" in (unpacked / "Install SAMA.bat").read_bytes()


def files_in(folder: Path) -> set[Path]:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(folder) for file in files}


def test_installs_from_the_unpacked_folder(machine, unpacked, bare_engine):
    profile = machine.add_gimp("3.0.4")
    before = machine.contents()
    machine.install("--python", bare_engine, "--no-self-check", installer=unpacked / "install.py")
    there = profile / "plug-ins" / "sama_select"
    assert files_in(there) == files_in(PLUG_IN)
    assert os.access(there / "sama_select.py", os.X_OK)
    assert machine.run("--uninstall", installer=unpacked / "install.py").returncode == 0
    assert machine.contents() == before


def test_engine_would_come_from_the_releases_own_wheel(machine, unpacked):
    machine.add_gimp("3.0.4")
    shown = machine.run("--dry-run", "--json", installer=unpacked / "install.py").stdout
    (plan,) = [event for event in map(json.loads, shown.splitlines()) if event["event"] == "planned"]
    assert plan["engine"] == "make"
    (wheel,) = (unpacked / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as content:
        assert {"sama_core/paths.py", "sama_core/weights/bundled/lite.safetensors"} <= set(content.namelist())
    wheel_aside = wheel.rename(unpacked / "aside")
    try:
        done = machine.run("--dry-run", installer=unpacked / "install.py")
        assert done.returncode != 0
        assert "unpack all of it" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        wheel_aside.rename(wheel)


def test_tested_versions_are_those_of_the_checkout_and_their_absence_is_told(machine, unpacked):
    machine.add_gimp("3.0.4")
    lock = unpacked / "requirements.lock"
    assert lock.read_bytes() == (ROOT / "requirements.lock").read_bytes()
    aside = lock.rename(unpacked / "aside")
    try:
        done = machine.run("--dry-run", installer=unpacked / "install.py")
        assert done.returncode == 1
        assert "requirements.lock cannot be read" in done.stderr
        assert machine.run("--dry-run", "--newest", installer=unpacked / "install.py").returncode == 0
    finally:
        aside.rename(lock)


def test_what_the_trial_and_the_page_on_installing_need_is_there(unpacked):
    code = "from installer import sample; print(sample.photo().width)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=unpacked) == b"451\n"
    page = (unpacked / "docs" / "install.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", page)
    assert links
    assert [link for link in links if not (unpacked / "docs" / link).exists()] == []


def starter(machine, unpacked: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    for tool in ("dirname", "uname", "sh"):
        if not (machine.programs / tool).exists():
            (machine.programs / tool).symlink_to(Path("/bin") / tool)
    return subprocess.run(
        command, cwd="/", env=machine.variables, input="\n", capture_output=True, text=True, encoding="utf-8"
    )


def test_shell_starter_finds_a_python_that_fits(machine, unpacked):
    (machine.programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (machine.programs / "python3.12").symlink_to(sys.executable)
    done = starter(machine, unpacked, [str(unpacked / "install.sh"), "--help"])
    assert done.returncode == 0, done.stderr
    assert "--gimp-profile" in done.stdout


def test_shell_starter_says_how_to_get_a_python(machine, unpacked):
    machine.add_program("dnf", "")
    done = starter(machine, unpacked, ["/bin/sh", str(unpacked / "install.sh")])
    assert done.returncode == 1
    assert "sudo dnf install python3" in done.stderr


def test_desktop_starter_starts_the_script_beside_it(machine, unpacked):
    (machine.programs / "python3").symlink_to(sys.executable)
    entry = unpacked / "Install SAMA.desktop"
    (line,) = [line for line in entry.read_text().splitlines() if line.startswith("Exec=")]
    # The specification's two rounds: the file's own escapes, then the quoting of arguments, which is the shell's.
    unescaped = line[5:].replace("\\\\", "\\")
    words = subprocess.check_output(["/bin/sh", "-c", f"printf '%s\\n' {unescaped}"], text=True).splitlines()
    command = [str(entry) if word == "%k" else word for word in words]
    done = starter(machine, unpacked, command)
    assert "Press Enter to close" in done.stdout
    assert "No GIMP was found" in done.stderr
