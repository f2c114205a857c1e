"""Every packaging of GIMP is found in a folder that stands for a computer, and what is known against it is said."""

from __future__ import annotations

import plistlib
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))
from sama_core.gimp import Gimp, Place, find_gimps


class Computer:
    """A folder with fake GIMPs in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "disk"
        self.home = self.root / "home" / "zoe"
        self.programs = self.root / "usr" / "bin"
        for made in (self.home, self.programs):
            made.mkdir(parents=True)

    def program(self, place: str | Path, says: str) -> Path:
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{says}\nEND\n")
        file.chmod(0o755)
        return file

    def gimp(self, place: str | Path, version: str) -> Path:
        return self.program(place, f"GNU Image Manipulation Program version {version}")

    def file(self, place: str | Path, text: str = "") -> Path:
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def find(self, system: str = "linux", **variables: str) -> list[Gimp]:
        return find_gimps(Place(system, self.root, self.home, {"PATH": str(self.programs), **variables}))


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def named(gimps: list[Gimp]) -> list[tuple[str, str]]:
    return [(gimp.version, gimp.packaging) for gimp in gimps]


def test_nothing_is_nothing(computer):
    for system in ("linux", "win32", "darwin"):
        assert computer.find(system) == []


def test_distribution_package_is_asked_through_its_console(computer):
    console = computer.gimp("usr/bin/gimp-console-3.0", "3.0.4")
    computer.gimp("usr/bin/gimp-3.0", "3.0.4")
    (gimp,) = computer.find()
    assert (gimp.version, gimp.packaging, gimp.console, gimp.note) == ("3.0.4", "system", console, "")


def test_gimp_2_is_seen_and_refused(computer):
    computer.gimp("usr/bin/gimp", "2.10.34")
    (gimp,) = computer.find()
    assert not gimp.works
    assert "too old" in gimp.note


def test_several_side_by_side(computer):
    computer.gimp("usr/bin/gimp-console-3.2", "3.2.6")
    computer.gimp("usr/bin/gimp-3.0", "3.0.4")
    computer.gimp("usr/bin/gimp", "2.10.34")
    computer.program("usr/bin/flatpak", "org.gimp.GIMP\t3.0.6")
    computer.file("home/zoe/Downloads/GIMP-3.0.4-x86_64.AppImage")
    assert sorted(named(computer.find())) == [
        ("2.10.34", "system"),
        ("3.0.4", "appimage"),
        ("3.0.4", "system"),
        ("3.0.6", "flatpak"),
        ("3.2.6", "system"),
    ]


FLATPAK = "var/lib/flatpak/app/org.gimp.GIMP/current/active"


def flatpak(computer: Computer, base: str, permissions: str) -> Gimp:
    about = '<component><releases><release date="2026-01-01" version="3.2.4"/><release version="3.0.8"/></releases>'
    computer.file(f"{base}/files/share/metainfo/org.gimp.GIMP.metainfo.xml", about)
    computer.file(f"{base}/metadata", permissions)
    (gimp,) = computer.find()
    return gimp


@pytest.mark.parametrize("base", [FLATPAK, "home/zoe/.local/share/flatpak/app/org.gimp.GIMP/current/active"])
def test_flatpak_is_found_by_its_files(computer, base):
    gimp = flatpak(computer, base, "[Context]\nshared=network;ipc;\nfilesystems=host;/tmp;\n")
    assert (gimp.version, gimp.packaging, gimp.works) == ("3.2.4", "flatpak", True)
    assert "start the engine" in gimp.note


def test_flatpak_without_network_is_told_how_to_get_it(computer):
    gimp = flatpak(computer, FLATPAK, "[Context]\nshared=ipc;\nfilesystems=host;\n")
    assert "flatpak override --user --share=network org.gimp.GIMP" in gimp.note


def test_flatpak_without_the_home_is_told_how_to_get_it(computer):
    gimp = flatpak(computer, FLATPAK, "[Context]\nshared=network;\nfilesystems=xdg-pictures;\n")
    assert "flatpak override --user --filesystem=home org.gimp.GIMP" in gimp.note


def test_strict_snap_is_refused(computer):
    computer.file("snap/gimp/current/meta/snap.yaml", "name: gimp\nversion: '3.0.4'\nconfinement: strict\n")
    (gimp,) = computer.find()
    assert (gimp.version, gimp.packaging, gimp.works) == ("3.0.4", "snap", False)
    assert "Flatpak" in gimp.note


def test_snap_on_the_path_is_no_distribution_package(computer):
    computer.gimp("snap/bin/gimp", "3.0.4")
    assert named(computer.find(PATH=str(computer.root / "snap" / "bin"))) == [("3.0.4", "snap")]


@pytest.mark.parametrize(
    ("place", "version"),
    [
        ("home/zoe/Downloads/GIMP-3.0.4-x86_64.AppImage", "3.0.4"),
        ("home/zoe/Applications/gimp-3.2.appimage", "3.2.0"),
        ("opt/GIMP-3.2.6-aarch64.AppImage", "3.2.6"),
    ],
)
def test_appimage_is_found_and_not_started(computer, place, version):
    computer.file(place, "this is no program")
    (gimp,) = computer.find()
    assert (gimp.version, gimp.packaging, gimp.console) == (version, "appimage", None)


def test_other_appimages_are_passed_over(computer):
    computer.file("home/zoe/Downloads/Krita-5.2.0.AppImage")
    computer.file("home/zoe/Downloads/GIMP-3.0.4.dmg")
    assert computer.find() == []


@pytest.mark.parametrize("base", ["Program Files", "home/zoe/AppData/Local/Programs"])
def test_windows_installer(computer, base):
    console = computer.gimp(f"{base}/GIMP 3/bin/gimp-console-3.0.exe", "3.0.4")
    computer.gimp(f"{base}/GIMP 3/bin/gimp-3.0.exe", "3.0.4")
    (gimp,) = computer.find("win32")
    assert (gimp.version, gimp.packaging, gimp.console) == ("3.0.4", "windows", console)


def test_windows_installer_on_another_disk(computer):
    computer.gimp("D/Programs/GIMP 3/bin/gimp-console-3.2.exe", "3.2.6")
    assert named(computer.find("win32", PROGRAMFILES=str(computer.root / "D" / "Programs"))) == [("3.2.6", "windows")]


def test_windows_store(computer):
    computer.file("Program Files/WindowsApps/GIMP.43237F745459_3.0.6.0_x64__abc/AppxManifest.xml")
    assert named(computer.find("win32")) == [("3.0.6", "store")]


def test_windows_store_by_its_alias(computer):
    computer.gimp("home/zoe/AppData/Local/Microsoft/WindowsApps/gimp-3.exe", "3.0.6")
    assert named(computer.find("win32")) == [("3.0.6", "store")]


@pytest.mark.parametrize("base", ["Applications", "home/zoe/Applications"])
def test_macos_bundles_side_by_side(computer, base):
    for name, version in (("GIMP.app", "3.2.6"), ("GIMP-3.0.app", "3.0.4"), ("GIMP-2.10.app", "2.10.38")):
        facts = plistlib.dumps({"CFBundleShortVersionString": version}).decode()
        computer.file(f"{base}/{name}/Contents/Info.plist", facts)
        computer.gimp(f"{base}/{name}/Contents/MacOS/gimp-console", version)
    assert named(computer.find("darwin")) == [("3.2.6", "macos"), ("3.0.4", "macos"), ("2.10.38", "macos")]
    assert all(gimp.console for gimp in computer.find("darwin"))
