"""The doctor's checks of GIMP: the programs, the plug-in in each settings folder, and what GIMP made of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sama_core import paths
from sama_core.cli.finding import Check

PLUG_IN = "sama_select"
#: What the plug-in registers, and where the menus show it.
MENU_ENTRIES = {
    "plug-in-sama-select": "Filters → SAMA Select…",
    "plug-in-sama-alpha-matte": "Layer → Add SAMA Alpha Matte…",
}
_PROGRAMS = ("gimp-console-3.2", "gimp-console-3.0", "gimp-console-3", "gimp-console", "gimp-3.2", "gimp-3.0", "gimp")
_FLATPAKS = (Path("/var/lib/flatpak/app/org.gimp.GIMP"), Path(".local/share/flatpak/app/org.gimp.GIMP"))
_SNAP = Path("/snap/gimp")


def check_gimps() -> Iterator[Check]:
    """The GIMP programs of this machine."""
    found = [f"{version} ({program})" for program, version in gimp_programs().items()]
    found += ["Flatpak" for place in _FLATPAKS if (Path.home() / place).exists()]
    found += ["Snap" for place in [_SNAP] if place.exists()]
    new = [text for text in found if not re.match(r"[0-2]\.", text)]
    # An AppImage or a bundle may lie anywhere: its settings folder shows that it was started.
    ok = bool(new or gimp_profiles())
    if found:
        detail = ", ".join(found)
    else:
        detail = "no program in the usual places, but settings of GIMP 3" if ok else "none was found"
    yield Check("GIMP", ok, detail, "Install GIMP 3.0 or newer, start it once, then run the installer.")


def gimp_programs() -> dict[Path, str]:
    """Return the GIMP programs in the usual places and the version that each says it is."""
    found: dict[Path, str] = {}
    seen: set[Path] = set()
    for name in _PROGRAMS:
        program = shutil.which(name, path=os.pathsep.join(_places()))
        if program is None or (real := Path(program).resolve()) in seen:
            continue
        seen.add(real)
        try:
            done = subprocess.run(
                [program, "--version"],
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if version := re.search(r"\b(\d+\.\d+\.\d+)\b", done.stdout):
            found.setdefault(Path(program), version[1])
    return found


def _places() -> list[str]:
    places = [os.environ.get("PATH", os.defpath)]
    if sys.platform == "win32":
        for base, more in (("PROGRAMFILES", ()), ("LOCALAPPDATA", ()), ("LOCALAPPDATA", ("Programs",))):
            if base in os.environ:
                places.append(str(Path(os.environ[base], *more, "GIMP 3", "bin")))
    elif sys.platform == "darwin":
        places += [str(base / "Applications/GIMP.app/Contents/MacOS") for base in (Path("/"), Path.home())]
    return places


def gimp_profiles() -> list[Path]:
    """Return GIMP 3's settings folders: where GIMP looks for plug-ins of this user, and where the installer put one."""
    folders: set[Path] = set()
    if os.environ.get("GIMP3_DIRECTORY"):
        # GIMP reads a relative one from the home folder.
        folders.add(Path.home() / os.environ["GIMP3_DIRECTORY"])
    else:
        root = _gimp_settings()
        folders.update(folder for folder in root.glob("3.*") if re.fullmatch(r"3\.\d+", folder.name))
    try:
        manifest = json.loads((paths.home() / "manifest.json").read_text(encoding="utf-8"))
        installed = [Path(name) for name in manifest["files"] if "\0" not in name]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        installed = []
    folders.update(path.parents[2] for path in installed if path.name == f"{PLUG_IN}.py" and len(path.parents) > 2)
    return sorted(folder for folder in folders if folder.is_dir())


def _gimp_settings() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "GIMP"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "GIMP"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "GIMP"


def check_plug_ins() -> Iterator[Check]:
    """The plug-in in each of GIMP's settings folders. GIMP ignores one that breaks its rules without a word."""
    profiles = gimp_profiles()
    if not profiles:
        yield Check(
            "GIMP plug-in",
            False,
            "no settings folder of GIMP 3 was found",
            "Start GIMP 3 once, then run the installer.",
        )
    for profile in profiles:
        name = f"GIMP plug-in, {profile.name}"
        plug_in = profile / "plug-ins" / PLUG_IN / f"{PLUG_IN}.py"
        if not plug_in.is_file():
            # GIMP wants a folder and in it a file of the same name.
            yield Check(name, False, f"{plug_in} is missing", "Run the installer, then start GIMP again.")
        elif os.name == "posix" and not os.access(plug_in, os.X_OK):
            yield Check(name, False, f"{plug_in} is not executable, so GIMP ignores it", f"chmod +x '{plug_in}'")
        else:
            yield Check(name, True, str(plug_in.parent))


def check_menu_entries() -> Iterator[Check]:
    """What GIMP made of the plug-in: it keeps what each plug-in told it in the file `pluginrc` of its settings."""
    for profile in gimp_profiles():
        plug_in = profile / "plug-ins" / PLUG_IN / f"{PLUG_IN}.py"
        if not plug_in.is_file():
            continue  # the check before has said so
        name = f"Menu entries, {profile.name}"
        try:
            remembered = (profile / "pluginrc").read_text(encoding="utf-8", errors="replace")
            started_since = (profile / "pluginrc").stat().st_mtime > plug_in.stat().st_mtime
        except OSError:
            remembered, started_since = "", False
        missing = [entry for procedure, entry in MENU_ENTRIES.items() if f'"{procedure}"' not in remembered]
        if not missing:
            yield Check(name, True, " and ".join(MENU_ENTRIES.values()))
        elif started_since:
            yield Check(
                name,
                False,
                f"GIMP was started, and the plug-in did not offer {' and '.join(missing)}",
                "Install GIMP's Python support (on Debian, Ubuntu and Mint: sudo apt install gir1.2-gimp-3.0 "
                f"python3-gi), delete {profile / 'pluginrc'}, and start GIMP again.",
            )
        else:
            yield Check(name, True, "they appear when GIMP is started the next time")
