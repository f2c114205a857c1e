"""The sandbox itself: a test in real GIMP is worth no more than the GIMP it believes to run in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox import GimpError, GimpSession, NoMirror, Workspace, apt_sources

import sama_core


def write_apt(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder


def test_mirror_from_a_deb822_file_with_comments_in_its_stanzas(tmp_path):
    text = """\
Types: deb
# an older address
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb deb-src
URIs: https://mirror.example/debian
# the release
Suites: bookworm
  bookworm-updates
Components: main contrib
"""
    assert apt_sources.debian_mirror(write_apt(tmp_path, "sources.list.d/debian.sources", text)) == (
        "https://mirror.example/debian"
    )


def test_mirror_from_one_line_entries_with_options(tmp_path):
    text = """\
# deb https://commented.example/debian bookworm main
deb-src https://source.example/debian bookworm main
deb [ arch=amd64 signed-by=/k.gpg ] https://tools.example/apt stable tools
deb [arch=amd64] https://mirror.example/debian bookworm main  # ours
"""
    assert apt_sources.debian_mirror(write_apt(tmp_path, "sources.list", text)) == "https://mirror.example/debian"


def test_a_disabled_source_is_no_mirror(tmp_path):
    text = "Enabled: no\nTypes: deb\nURIs: https://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    with pytest.raises(NoMirror, match="Install GIMP 3 on this machine"):
        apt_sources.debian_mirror(write_apt(tmp_path, "sources.list.d/debian.sources", text))


def test_gimp_is_a_gimp_3_with_an_isolated_profile(gimp: GimpSession, workspace: Workspace):
    version, profile = gimp.json("print(json.dumps([Gimp.version(), Gimp.directory()]))")
    assert version.startswith("3.")
    assert profile == str(workspace.profile)


def test_a_snippet_that_fails_raises_its_traceback_and_gimp_goes_on(gimp: GimpSession):
    with pytest.raises(GimpError, match=r"line 2(?s:.)*ZeroDivisionError"):
        gimp.run("print('before')\n1 / 0")
    assert gimp.run("print('after')") == "after\n"


def test_the_work_folder_is_the_same_inside_and_outside(gimp: GimpSession):
    (gimp.files / "from-outside").write_text("a")
    gimp.run(f"text = open({str(gimp.files / 'from-outside')!r}).read()")
    gimp.run(f"open({str(gimp.files / 'from-inside')!r}, 'w').write(text + 'b')")
    assert (gimp.files / "from-inside").read_text() == "ab"


def test_the_engine_command_reaches_the_projects_own_python_from_inside_gimp(gimp: GimpSession, sama_home: Path):
    command = json.loads((sama_home / "install.json").read_text())["python"]
    code = "import os, sys, sama_core; print(os.getpid(), sys.prefix, sama_core.__file__)"
    answer = gimp.run(f"import subprocess\nprint(subprocess.check_output([{command!r}, '-c', {code!r}], text=True))")
    _, prefix, module = answer.split(maxsplit=2)
    assert prefix == sys.prefix
    assert module.strip() == sama_core.__file__


def test_nothing_is_mounted_on_the_machine(gimp: GimpSession):
    mounts = Path("/proc/self/mounts").read_text()
    assert str(gimp.workspace.folder) not in mounts
    if gimp.workspace.gimp.tree:
        assert Path("/proc/self/ns/mnt").readlink() != Path(f"/proc/{gimp.process_id}/ns/mnt").readlink()


def test_processes_inside_have_the_ids_they_have_outside(gimp: GimpSession):
    parent = int(gimp.run("print(os.getppid())"))
    assert parent == gimp.process_id
    assert subprocess.run(["kill", "-0", str(parent)], check=False).returncode == 0
