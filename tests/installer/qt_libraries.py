"""The system libraries that Qt wants, for machines without a desktop: unpacked into a private folder, as any user.

Every desktop has them; a bare Debian, as CI's, has not. They are looked for first, and fetched only when Qt does not
start without. No Qt at all is a failure, never a skip.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from throwaway_machine import ROOT

sys.path.append(str(ROOT / "tests" / "gimp"))
from sandbox import NoMirror, private_apt

FOLDER = ROOT / ".cache" / "qt-libraries"
#: What PySide6's QtWidgets and its offscreen and xcb platforms link to, and a font to write with.
PACKAGES = (
    *("libgl1", "libegl1", "libxkbcommon0", "libdbus-1-3", "libfontconfig1", "libfreetype6", "libglib2.0-0"),
    *("libx11-6", "libx11-xcb1", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1"),
    *("libxcb-randr0", "libxcb-render-util0", "libxcb-shape0", "libxcb-xkb1", "libxkbcommon-x11-0"),
    "fonts-dejavu-core",
)
REMEDY = f"On Debian, Ubuntu and Mint: sudo apt install {' '.join(PACKAGES)}"
_TRY = "from PySide6.QtWidgets import QApplication; from PySide6.QtGui import QFontDatabase; QApplication([]); "
_TRY += "raise SystemExit(not QFontDatabase.families())"


class NoQt(Exception):
    """Qt cannot be made to start here."""


def variables() -> dict[str, str]:
    """What a process needs in its environment, so that Qt starts in it without a screen.

    Raises:
        NoQt: it does not, with the reason and a remedy.
    """
    bare = {"QT_QPA_PLATFORM": "offscreen"}
    if not _trouble(bare):
        return bare
    private = {**bare, **_private_variables()}
    FOLDER.parent.mkdir(exist_ok=True)
    with FOLDER.with_name(f"{FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        trouble = _trouble(private)
        if trouble:
            _unpack()
            trouble = _trouble(private)
    if trouble:
        raise NoQt(f"Qt does not start: {trouble}. {REMEDY}")
    return private


def load(found: dict[str, str]) -> None:
    """Make this very process one in which Qt starts.

    A process's own library path is read when it starts; a library that is loaded already is found by its name.
    """
    os.environ.update({name: value for name, value in found.items() if name != "LD_LIBRARY_PATH"})
    if "LD_LIBRARY_PATH" not in found:
        return
    waiting = [file for folder in _library_folders() for file in folder.glob("*.so*") if file.is_file()]
    while waiting:
        failed = [file for file in waiting if not _loads(file)]
        if len(failed) == len(waiting):
            # What is left belongs to drivers that Qt does without.
            return
        waiting = failed


def _trouble(extra: dict[str, str]) -> str:
    command = [sys.executable, "-c", _TRY]
    done = subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["there is no font"])[-1]


def _loads(library: Path) -> bool:
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _library_folders() -> list[Path]:
    # Some packages are older than the joining of /lib and /usr/lib.
    return [FOLDER / place / f"{platform.machine()}-linux-gnu" for place in ("usr/lib", "lib")]


def _private_variables() -> dict[str, str]:
    folders = os.pathsep.join(map(str, _library_folders()))
    return {"LD_LIBRARY_PATH": folders, "FONTCONFIG_FILE": str(FOLDER / "fonts.conf")}


def _unpack() -> None:
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    building = FOLDER.with_name(f"{FOLDER.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    log = FOLDER.with_name(f"{FOLDER.name}.log")
    print(f"Unpacking the libraries that Qt needs into {FOLDER} (once). Log: {log}", file=sys.stderr, flush=True)
    try:
        with log.open("w") as output:
            state = building / "apt"
            # What this machine has stays what it is, and is not fetched again.
            installed = Path("/var/lib/dpkg/status")
            for package in private_apt.download(state, suite, PACKAGES, output, installed):
                subprocess.run(["dpkg-deb", "--extract", str(package), str(building)], check=True, stderr=output)
            shutil.rmtree(state)
    except (NoMirror, OSError, subprocess.CalledProcessError) as error:
        raise NoQt(f"Qt's libraries cannot be had: {error}. See {log}. {REMEDY}") from error
    (building / "fonts.conf").write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{FOLDER}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{FOLDER}/font-cache</cachedir></fontconfig>\n"
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    building.rename(FOLDER)
