"""Find the GIMPs of this machine and the profile folders that their plug-ins live in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installer.child_processes import clean_environment
from installer.failures import InstallError

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
#: Programs under these folders are Snaps.
_SNAP_FOLDERS = ("/snap/", "/var/lib/snapd/")


@dataclass(frozen=True)
class Gimp:
    """A GIMP program.

    Attributes:
        version: as it says itself, for example "3.0.4".
        packaging: "system", "flatpak" or "snap".
        console: the program to run without a screen, or None when there is none that the installer can run.
    """

    version: str
    packaging: str
    console: Path | None

    @property
    def series(self) -> str:
        """The part of the version that names the profile folder, for example "3.0"."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Profile:
    """A folder of GIMP's settings; its `plug-ins` folder is where plug-ins go.

    Attributes:
        folder: for example `~/.config/GIMP/3.0`. It need not exist yet.
        gimp: the GIMP that uses it, or None when only the folder was found or it was named by the user.
    """

    folder: Path
    gimp: Gimp | None

    @property
    def plug_ins(self) -> Path:
        """Where this profile's plug-ins live."""
        return self.folder / "plug-ins"


def find_gimps() -> list[Gimp]:
    """Return the GIMPs of this machine, GIMP 2 included, one for each series and packaging, newest first."""
    found: dict[tuple[str, str], Gimp] = {}
    for program in _programs():
        version = _version_of(program)
        if version is None:
            continue
        packaging = "snap" if str(program).startswith(_SNAP_FOLDERS) else "system"
        console = program if "console" in program.name else None
        gimp = Gimp(version, packaging, console)
        # The console program comes first in _COMMANDS: whoever comes later adds nothing to the same series.
        found.setdefault((gimp.series, packaging), gimp)
    for version in _flatpak_versions():
        gimp = Gimp(version, "flatpak", None)
        found.setdefault((gimp.series, "flatpak"), gimp)
    return sorted(found.values(), key=lambda gimp: [int(part) for part in gimp.version.split(".")], reverse=True)


def find_profiles(gimps: list[Gimp], forced: list[Path]) -> list[Profile]:
    """Return the profiles to install into: those in `forced`, else those of every GIMP 3 there is.

    Raises:
        InstallError: there is no GIMP 3 here.
    """
    newest_last = [gimp for gimp in reversed(gimps) if gimp.series.startswith("3.")]
    by_series = {gimp.series: gimp for gimp in newest_last}
    newest = newest_last[-1] if newest_last else None
    if forced:
        return [Profile(folder, by_series.get(folder.name, newest)) for folder in forced]
    named = os.environ.get("GIMP3_DIRECTORY")
    if named:
        # GIMP reads a relative GIMP3_DIRECTORY from the home folder.
        return [Profile(Path.home() / named, newest)]
    root = settings_root()
    on_disk = {entry.name for entry in root.glob("3.*") if entry.is_dir() and re.fullmatch(r"3\.\d+", entry.name)}
    series = sorted(on_disk | by_series.keys(), key=lambda name: int(name.split(".")[1]))
    if not series:
        raise InstallError(_nothing_found(gimps, root))
    return [Profile(root / name, by_series.get(name)) for name in series]


def settings_root() -> Path:
    """The folder that holds one folder of settings for each GIMP series."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "GIMP"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "GIMP"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "GIMP"


def run_without_screen(profile: Profile, code: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run Python `code` inside the profile's GIMP, without a screen; the result carries its output.

    Raises:
        OSError, subprocess.SubprocessError: GIMP cannot be started or did not end within `timeout` seconds.
    """
    if profile.gimp is None or profile.gimp.console is None:
        raise FileNotFoundError("no GIMP console program")
    command = [str(profile.gimp.console), "--no-data", "--no-fonts", "--quit"]
    with _traceless_environment() as environment:
        return subprocess.run(
            [*command, "--batch-interpreter", "python-fu-eval", "-b", code],
            env={**environment, "GIMP3_DIRECTORY": str(profile.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )


@contextlib.contextmanager
def _traceless_environment() -> Iterator[dict[str, str]]:
    """The environment in which a GIMP that is only asked something leaves nothing behind but in its own profile.

    Its libraries make folders for caches and data, some even when GIMP is only asked for its version.
    """
    elsewhere = tempfile.mkdtemp(prefix="sama-")
    try:
        yield {**clean_environment(), **dict.fromkeys(("XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR"), elsewhere)}
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def _nothing_found(gimps: list[Gimp], root: Path) -> str:
    old = gimps[0].version if gimps else "2.10" if (root / "2.10").is_dir() else ""
    found = f"Only GIMP {old} was found, and SAMA needs GIMP 3.0 or newer." if old else "No GIMP was found."
    return (
        f"{found} Install GIMP 3, start it once, and run this installer again. If GIMP 3 is here in an "
        "unusual place, "
        "name its settings folder: --gimp-profile FOLDER (in GIMP: Edit, Preferences, Folders, Plug-Ins "
        "shows it)."
    )


def _programs() -> list[Path]:
    places = [os.environ.get("PATH", os.defpath)]
    if sys.platform == "win32":
        for base in ("PROGRAMFILES", "LOCALAPPDATA"):
            places += [
                str(Path(os.environ[base], *more, "GIMP 3", "bin"))
                for more in ((), ("Programs",))
                if base in os.environ
            ]
    elif sys.platform == "darwin":
        places += [str(base / "Applications/GIMP.app/Contents/MacOS") for base in (Path("/"), Path.home())]
    found = (shutil.which(command, path=os.pathsep.join(places)) for command in _COMMANDS)
    return [Path(program) for program in found if program]


def _version_of(program: Path) -> str | None:
    with _traceless_environment() as environment:
        match = re.search(r"\b(\d+\.\d+\.\d+)\b", _output_of([str(program), "--version"], environment))
    return match.group(1) if match else None


def _flatpak_versions() -> list[str]:
    flatpak = shutil.which("flatpak")
    if flatpak is None:
        return []
    listing = _output_of([flatpak, "list", "--app", "--columns=application,version"], clean_environment())
    return re.findall(rf"^{re.escape(_FLATPAK_ID)}\s+(\d+\.\d+\.\d+)", listing, re.MULTILINE)


def _output_of(command: list[str], environment: dict[str, str]) -> str:
    try:
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
