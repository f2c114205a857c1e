"""The profile folders that the plug-ins of this machine's GIMPs live in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from installer.child_processes import traceless_environment
from installer.failures import InstallError
from installer.gimp_search import Gimp


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


def find_profiles(gimps: list[Gimp], forced: list[Path]) -> list[Profile]:
    """Return the profiles to install into: those in `forced`, else those of every GIMP 3 that SAMA can work with.

    Raises:
        InstallError: there is no such GIMP here.
    """
    working = [gimp for gimp in gimps if gimp.works]
    by_series: dict[str, Gimp] = {}
    for gimp in working:
        # Of several in one profile, one that can be asked without a screen.
        if gimp.series not in by_series or (gimp.console and not by_series[gimp.series].console):
            by_series[gimp.series] = gimp
    newest = by_series[working[0].series] if working else None
    if forced:
        return [Profile(folder, by_series.get(folder.name, newest)) for folder in forced]
    named = os.environ.get("GIMP3_DIRECTORY")
    if named:
        # GIMP reads a relative GIMP3_DIRECTORY from the home folder.
        return [Profile(Path.home() / named, newest)]
    root = settings_root()
    on_disk = {entry.name for entry in root.glob("3.*") if entry.is_dir() and re.fullmatch(r"3\.\d+", entry.name)}
    hopeless = {gimp.series for gimp in gimps if not gimp.works} - by_series.keys()
    series = sorted((on_disk - hopeless) | by_series.keys(), key=lambda name: int(name.split(".")[1]))
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


def has_no_profile_yet(profile: Profile) -> bool:
    """Whether the profile's GIMP is here and has never been started."""
    return not profile.folder.exists() and profile.gimp is not None and profile.gimp.console is not None


def run_without_screen(profile: Profile, code: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run Python `code` inside the profile's GIMP, without a screen; the result carries its output.

    Raises:
        OSError, subprocess.SubprocessError: GIMP cannot be started or did not end within `timeout` seconds.
    """
    if profile.gimp is None or profile.gimp.console is None:
        raise FileNotFoundError("no GIMP console program")
    command = [str(profile.gimp.console), "--no-data", "--no-fonts", "--quit"]
    with traceless_environment() as environment:
        return subprocess.run(
            [*command, "--batch-interpreter", "python-fu-eval", "-b", code],
            env={**environment, "GIMP3_DIRECTORY": str(profile.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )


def _nothing_found(gimps: list[Gimp], root: Path) -> str:
    refused = [gimp for gimp in gimps if not gimp.series.startswith("2.")]
    if refused:
        return f"Only GIMP {refused[0].version} ({refused[0].packaging}) was found. {refused[0].note}"
    old = gimps[0].version if gimps else "2.10" if (root / "2.10").is_dir() else ""
    found = f"Only GIMP {old} was found, and SAMA needs GIMP 3.0 or newer." if old else "No GIMP was found."
    return (
        f"{found} Install GIMP 3, start it once, and run this installer again. If GIMP 3 is here in an unusual place, "
        "name its settings folder: --gimp-profile FOLDER (in GIMP: Edit, Preferences, Folders, Plug-Ins shows it)."
    )
