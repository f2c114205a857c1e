"""The doctor's checks of GIMP: the programs, the plug-in in each settings folder, and what GIMP made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sama_core import gimp, paths
from sama_core.cli.report import Check

PLUG_IN = "sama_select"
#: What the plug-in registers, and where the menus show it.
MENU_ENTRIES = {
    "plug-in-sama-select": "Filters → SAMA Select…",
    "plug-in-sama-alpha-matte": "Layer → Add SAMA Alpha Matte…",
}


def check_gimps() -> Iterator[Check]:
    """The GIMP programs of this machine."""
    gimps = gimp.find_gimps(gimp.this_place())
    found = [f"{known.version} ({known.program or known.packaging})" for known in gimps]
    new = [known for known in gimps if not known.version.startswith(("0.", "1.", "2."))]
    # An AppImage or a bundle may lie anywhere: its settings folder shows that it was started.
    ok = bool(new or gimp_profiles())
    if found:
        detail = ", ".join(found)
    else:
        detail = "no program in the usual places, but settings of GIMP 3" if ok else "none was found"
    yield Check("GIMP", ok, detail, "Install GIMP 3.0 or newer, start it once, then run the installer.")


def gimp_profiles() -> list[Path]:
    """Return GIMP 3's settings folders: where GIMP looks for plug-ins of this user, and where the installer put one."""
    folders = set(gimp.settings_folders())
    try:
        manifest = json.loads((paths.home() / "manifest.json").read_text(encoding="utf-8"))
        installed = [Path(name) for name in manifest["files"] if "\0" not in name]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        installed = []
    folders.update(path.parents[2] for path in installed if path.name == f"{PLUG_IN}.py" and len(path.parents) > 2)
    return sorted(folder for folder in folders if folder.is_dir())


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
        # GIMP wants a folder and in it a file of the same name, and that file wants its package beside it.
        missing = [file for file in (plug_in, plug_in.with_name("sama") / "__init__.py") if not file.is_file()]
        if missing:
            yield Check(name, False, f"{missing[0]} is missing", "Run the installer, then start GIMP again.")
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
