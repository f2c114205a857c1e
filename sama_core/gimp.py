"""Look for every GIMP on a computer, in the system's places and in those of each packaging, and for their settings.

Standard library only: the installer uses it before there is an engine. The search for programs reads nothing of this
process's own environment: a `Place` says where to look, so that a folder can stand for a computer.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: distribution's or built by hand; sandboxed; sandboxed; one file; the installer from gimp.org; Microsoft Store; .app
PACKAGINGS = ("system", "flatpak", "snap", "appimage", "windows", "store", "macos")
_COMMANDS = (
    "gimp-console-3.2",
    "gimp-console-3.0",
    "gimp-console-3",
    "gimp-console",
    "gimp-3.2",
    "gimp-3.0",
    "gimp-3",
    "gimp",
)
_FLATPAK_ID = "org.gimp.GIMP"
#: Folders of the home that people keep AppImages in, and those of the system.
_APPIMAGE_HOMES = ("Applications", "AppImages", "Apps", "bin", ".local/bin", "Downloads", "Desktop", "")
_APPIMAGE_ROOTS = ("opt", "opt/gimp", "usr/local/bin")


@dataclass(frozen=True)
class Gimp:
    """A GIMP program.

    Attributes:
        version: as it says itself, for example "3.0.4".
        packaging: one of `PACKAGINGS`.
        console: the program to run without a screen, or None when there is none that the installer can run.
        program: where it was found, or None.
        note: why SAMA may not work with it, whole sentences with a remedy; "" when nothing is known against it.
        works: False when SAMA cannot work with it, as `note` says.
    """

    version: str
    packaging: str
    console: Path | None
    program: Path | None = None
    note: str = ""
    works: bool = True

    @property
    def series(self) -> str:
        """The part of the version that names the profile folder, for example "3.0"."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Place:
    """A computer to look at.

    Attributes:
        system: as `sys.platform` has it.
        root: the folder that stands for "/", or for the disk C: of Windows.
        home: the user's.
        variables: the environment's; PATH and Windows' folders are taken from them.
    """

    system: str
    root: Path
    home: Path
    variables: Mapping[str, str]


def this_place() -> Place:
    """The computer and user that the installer runs for."""
    root = Path(Path.home().anchor or "/")
    return Place(sys.platform, root, Path.home(), os.environ)


def settings_root() -> Path:
    """The folder that holds one folder of settings for each GIMP series."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "GIMP"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "GIMP"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "GIMP"


def settings_folders() -> list[Path]:
    """GIMP 3's settings folders: the one that GIMP3_DIRECTORY names, be it there or not, else those that there are."""
    named = os.environ.get("GIMP3_DIRECTORY")
    if named:
        # GIMP reads a relative one from the home folder.
        return [Path.home() / named]
    series = (folder for folder in settings_root().glob("3.*") if re.fullmatch(r"3\.\d+", folder.name))
    return sorted(folder for folder in series if folder.is_dir())


@contextlib.contextmanager
def traceless_environment() -> Iterator[dict[str, str]]:
    """The environment in which a GIMP that is only asked something leaves nothing behind but in its own profile.

    Its libraries make folders for caches and data, some even when GIMP is only asked for its version.
    """
    elsewhere = tempfile.mkdtemp(prefix="sama-")
    python = ("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name not in python}
    places = dict.fromkeys(("XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR"), elsewhere)
    try:
        yield {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", **places}
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def find_gimps(place: Place) -> list[Gimp]:
    """Return the GIMPs there are, GIMP 2 included: one for each series and packaging, newest first."""
    found: dict[tuple[str, str], Gimp] = {}
    for search in (_on_path, _flatpaks, _snaps, _appimages, _windows_programs, _macos_bundles):
        for gimp in search(place):
            # A console program comes before the others of its folder: whoever comes later adds nothing.
            found.setdefault((gimp.series, gimp.packaging), gimp)
    return sorted(found.values(), key=lambda gimp: _numbers(gimp.version), reverse=True)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _gimp(version: str, packaging: str, program: Path | None, console: Path | None = None) -> Gimp:
    note = "" if _numbers(version)[0] >= 3 else f"GIMP {version} is too old for SAMA, which needs GIMP 3.0 or newer."
    return Gimp(version, packaging, console, program, note, works=not note)


def _on_path(place: Place) -> Iterator[Gimp]:
    path = place.variables.get("PATH", os.defpath)
    for command in _COMMANDS:
        found = shutil.which(command, path=path)
        if found and not _is_snap(place, Path(found)):
            yield from _asked(Path(found), "store" if "WindowsApps" in Path(found).parts else "system")


def _asked(program: Path, packaging: str) -> Iterator[Gimp]:
    match = re.search(r"\b(\d+\.\d+\.\d+)\b", _output_of([str(program), "--version"]))
    if match:
        yield _gimp(match.group(1), packaging, program, program if "console" in program.name else None)


def _is_snap(place: Place, program: Path) -> bool:
    roots = (place.root / "snap", place.root / "var" / "lib" / "snapd")
    return any(root in (program, *program.parents) for root in roots)


def _flatpaks(place: Place) -> Iterator[Gimp]:
    if place.system != "linux":
        return
    versions: dict[str, str] = {}
    flatpak = shutil.which("flatpak", path=place.variables.get("PATH", os.defpath))
    if flatpak:
        listing = _output_of([flatpak, "list", "--app", "--columns=application,version"])
        for version in re.findall(rf"^{re.escape(_FLATPAK_ID)}\s+(\d+\.\d+\.\d+)", listing, re.MULTILINE):
            versions[version] = _output_of([flatpak, "info", "--show-permissions", _FLATPAK_ID])
    for base in (place.root / "var" / "lib" / "flatpak", place.home / ".local" / "share" / "flatpak"):
        active = base / "app" / _FLATPAK_ID / "current" / "active"
        about = _read(active / "files" / "share" / "metainfo" / f"{_FLATPAK_ID}.metainfo.xml")
        match = re.search(r'<release\b[^>]*\bversion="(\d+\.\d+\.\d+)"', about)
        if match:
            versions.setdefault(match.group(1), _read(active / "metadata"))
    for version, permissions in versions.items():
        yield _flatpak(version, permissions)


def _flatpak(version: str, permissions: str) -> Gimp:
    gimp = _gimp(version, "flatpak", None)
    if not gimp.works:
        return gimp
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(permissions)
    except configparser.Error:
        permissions = ""
    shared = parser.get("Context", "shared", fallback="").split(";")
    folders = {name.partition(":")[0] for name in parser.get("Context", "filesystems", fallback="").split(";")}
    if permissions and "network" not in shared:
        note = (
            "This Flatpak may not use the network, not even this computer's own, so that it cannot reach SAMA's "
            f"engine. Allow it: flatpak override --user --share=network {_FLATPAK_ID}"
        )
    elif permissions and not folders & {"host", "home"}:
        note = (
            "This Flatpak may not read your home folder, and so not find SAMA's engine. Allow it: "
            f"flatpak override --user --filesystem=home {_FLATPAK_ID}"
        )
    else:
        note = (
            "not tested with Flatpak. It can reach an engine that runs, but cannot start one. Before using SAMA in "
            "this GIMP, start the engine in a terminal; docs/troubleshooting.md says how."
        )
    return Gimp(version, "flatpak", None, None, note)


def _snaps(place: Place) -> Iterator[Gimp]:
    about = _read(place.root / "snap" / "gimp" / "current" / "meta" / "snap.yaml")
    match = re.search(r"^version:\s*['\"]?(\d+\.\d+\.\d+)", about, re.MULTILINE)
    versions = [match.group(1)] if match else []
    if not versions:
        program = shutil.which("gimp", path=place.variables.get("PATH", os.defpath))
        if program and _is_snap(place, Path(program)):
            versions = re.findall(r"\b(\d+\.\d+\.\d+)\b", _output_of([program, "--version"]))[:1]
    for version in versions:
        gimp = _gimp(version, "snap", None)
        if gimp.works and not re.search(r"^confinement:\s*classic", about, re.MULTILINE):
            note = (
                "SAMA cannot work with a Snap: its sandbox does not let GIMP read the folder that the engine is in. "
                "Use your distribution's GIMP, the Flatpak, or the AppImage from gimp.org."
            )
            gimp = Gimp(version, "snap", None, None, note, works=False)
        yield gimp


def _appimages(place: Place) -> Iterator[Gimp]:
    if place.system != "linux":
        return
    folders = [place.home / name for name in _APPIMAGE_HOMES] + [place.root / name for name in _APPIMAGE_ROOTS]
    for folder in folders:
        for file in _entries(folder):
            # Its name says its version; it is not started, for that may take long and ask questions.
            match = re.match(r"gimp[-_. ]?v?(\d+\.\d+(?:\.\d+)?).*\.appimage$", file.name, re.IGNORECASE)
            if match:
                version = match.group(1) if match.group(1).count(".") == 2 else f"{match.group(1)}.0"
                yield _gimp(version, "appimage", file)


def _windows_programs(place: Place) -> Iterator[Gimp]:
    if place.system != "win32":
        return
    folders = []
    for variable, usual in (("PROGRAMFILES", place.root / "Program Files"), ("LOCALAPPDATA", _local(place))):
        base = Path(place.variables.get(variable) or usual)
        for parent in (base, base / "Programs"):
            folders += [entry / "bin" for entry in _entries(parent) if re.match(r"GIMP \d", entry.name)]
    for folder in folders:
        for program in _consoles_first(folder, r"gimp(-console)?(-\d+(\.\d+)?)?\.exe"):
            yield from _asked(program, "windows")
    # The Store's own folder is closed to people, but the names in it may be read, and there are aliases.
    store = Path(place.variables.get("PROGRAMFILES") or place.root / "Program Files") / "WindowsApps"
    for entry in _entries(store):
        match = re.match(r"GIMP\.[^_]+_(\d+\.\d+\.\d+)", entry.name, re.IGNORECASE)
        if match:
            yield _gimp(match.group(1), "store", entry)
    for program in _consoles_first(_local(place) / "Microsoft" / "WindowsApps", r"gimp(-console)?(-\d+(\.\d+)?)?\.exe"):
        yield from _asked(program, "store")


def _local(place: Place) -> Path:
    return Path(place.variables.get("LOCALAPPDATA") or place.home / "AppData" / "Local")


def _macos_bundles(place: Place) -> Iterator[Gimp]:
    if place.system != "darwin":
        return
    for folder in (place.root / "Applications", place.home / "Applications"):
        for bundle in _entries(folder):
            if not re.match(r"gimp.*\.app$", bundle.name, re.IGNORECASE):
                continue
            try:
                facts = plistlib.loads((bundle / "Contents" / "Info.plist").read_bytes())
                version = str(facts.get("CFBundleShortVersionString", ""))
            except (OSError, ValueError, plistlib.InvalidFileException):
                continue
            consoles = _consoles_first(bundle / "Contents" / "MacOS", r"gimp-console(-\d+(\.\d+)?)?")
            match = re.match(r"\d+\.\d+\.\d+", version)
            if match:
                yield _gimp(match.group(), "macos", bundle, consoles[0] if consoles else None)


def _consoles_first(folder: Path, pattern: str) -> list[Path]:
    programs = [entry for entry in _entries(folder) if re.fullmatch(pattern, entry.name, re.IGNORECASE)]
    return sorted(programs, key=lambda program: ("console" not in program.name, program.name))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output_of(command: list[str]) -> str:
    try:
        with traceless_environment() as environment:
            done = subprocess.run(
                command,
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
            )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
