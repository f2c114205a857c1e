"""Bring the window up: a small environment with Qt for it, then the window as a process of its own.

The environment, SAMA_HOME/window, is kept while SAMA is installed, for updating, repairing and removing; where nothing
is installed, nothing of it stays either.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from installer import environment, pythons
from installer.child_processes import clean_environment, run_quietly
from installer.downloads import Pip, failure_of
from installer.events import InstallError
from installer.package import ROOT
from installer.state import Manifest, remove_tree
from installer.steps import FrontEnd, Steps, Stop
from installer.text import says_yes

#: PySide6 6.12.0 loses a reference to None with every call, which ends Pythons before 3.12.
REQUIREMENTS = ("qtpy>=2.4", "PySide6-Essentials>=6.6,<6.12")
#: Measured on Linux with PySide6-Essentials 6.11.3, see docs/install.md.
DOWNLOAD_MB, DISK_MB = 81, 263
#: What the window's process writes when the window is there. Later it writes the options of what it does, as a list in
#: JSON, and an empty list when that is done.
UP = "window up"
#: Seconds for Qt to come up, from a cold disk.
_PATIENCE = 120
_ENDED_WELL = 0


class NoWindow(Exception):
    """There can be no window. `str(error)` says why, in whole sentences."""


def check_screen() -> None:
    """Make sure that there is a screen to show a window on.

    Raises:
        NoWindow: there is none.
    """
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform not in ("win32", "darwin") and not has_screen:
        raise NoWindow("There is no screen to show a window on.")


def show(home: Path, options: list[str]) -> tuple[int, list[str]]:
    """Show the window until it is closed; return the exit status, and the options of what a crash of it cut off.

    Args:
        home: SAMA_HOME, known to be fit for it.
        options: the installer's own, handed on to what the window starts.

    Raises:
        NoWindow: it cannot be shown; nothing was changed.
    """
    with ExitStack() as undo:
        undo.callback(tidy, home)
        try:
            python = _environment(home)
        except InstallError as error:
            raise NoWindow(f"The window could not be made. {error}") from error
        status, under_way = _run(python, options)
        if status == _ENDED_WELL:
            return status, []
        if under_way:
            undo.pop_all()
        else:
            text = "The window ended unexpectedly. Run this again, or with --text to do without a window."
            print(text, file=sys.stderr)
        return status, under_way


def folder_in(home: Path) -> Path:
    """Where the window's environment is."""
    return home / "window"


def tidy(home: Path) -> None:
    """Take the window's environment away, and its folders, unless SAMA is installed."""
    manifest = Manifest.load(home)
    if manifest.environment or manifest.files:
        return
    remove_tree(folder_in(home))
    if environment.downloads_folder_in(home).exists():
        # Kept for the next time; the manifest lets uninstalling find them.
        return
    manifest.path.unlink(missing_ok=True)
    manifest.remove_folders()


def _environment(home: Path) -> Path:
    """Return the interpreter of the window's environment, made if need be.

    Raises:
        InstallError: it cannot be made.
        NoWindow: it can, but Qt's libraries do not load in it.
    """
    folder = folder_in(home)
    python = environment.python_in(folder)
    if python.exists() and not _trouble(python):
        return python
    base = pythons.fit()
    _announce()
    manifest = Manifest.load(home)
    # What is going to be made is written down first.
    manifest.make_folder(home, ExitStack(), mode=0o700)
    manifest.save()
    environment.make_empty(base, folder)
    work = folder / "work"
    work.mkdir()
    status, said = Pip(python, work, Steps(FrontEnd(), Stop())).run("install", "--no-cache-dir", *REQUIREMENTS)
    work.rmdir()
    if status != 0:
        raise InstallError(failure_of("Qt could not be installed", said))
    trouble = _trouble(python)
    if trouble:
        raise NoWindow(_no_qt(trouble))
    return python


def _announce() -> None:
    """Say how large the window is; ask, where somebody can answer."""
    size = f"{DOWNLOAD_MB} MB to download, {DISK_MB} MB on the disk"
    if sys.stdin is not None and sys.stdin.isatty():
        question = f"SAMA can be installed in a window ({size}), or here as text. Show the window? [Y/n] "
        if not says_yes(question, unsaid=True):
            raise NoWindow("No window, then.")
    print(f"Fetching the window: {size} …", flush=True)


def command(python: Path, options: list[str]) -> list[str]:
    """The command line of the window's process."""
    return [str(python), "-B", "-m", "installer.window", *options, "--base", sys.executable]


def _run(python: Path, options: list[str]) -> tuple[int, list[str]]:
    """Show the window; return its exit status, and the options of what it was at last heard to be doing.

    Raises:
        NoWindow: it did not come up.
    """
    with tempfile.TemporaryFile() as words:
        # A session of its own: Ctrl+C in the terminal is to reach the window as a wish, not to kill what it started.
        process = subprocess.Popen(
            command(python, options),
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        giving_up = threading.Timer(_PATIENCE, process.kill)
        giving_up.start()
        try:
            is_up = process.stdout.readline().strip() == UP
            giving_up.cancel()
            if not is_up:
                process.kill()
                process.wait()
                words.seek(0)
                raise NoWindow(_no_qt(words.read().decode(errors="replace")))
            status = _wait(process)
            if status != _ENDED_WELL and sys.platform != "win32":
                # Lest a program that it started holds up the one that goes on.
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
            heard = [line for line in process.stdout.read().splitlines() if line.startswith("[")]
            return status, json.loads(heard[-1]) if heard else []
        except BaseException:
            giving_up.cancel()
            if process.poll() is None:
                process.terminate()
                process.wait()
            raise


def _wait(process: subprocess.Popen[str]) -> int:
    print("The window is open. Go on there.", flush=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The window stops what runs, which takes back what was made, and closes.
        print("\nStopping …", file=sys.stderr, flush=True)
        process.terminate()
        return process.wait()


def _trouble(python: Path) -> str:
    """What stands in the way of Qt in the environment of `python`; "" when nothing does."""
    done = run_quietly([str(python), "-c", "import qtpy.QtWidgets"])
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"


def _no_qt(words: str) -> str:
    """What to tell a person of Qt's own words."""
    if "xcb-cursor" in words:
        return (
            "Qt cannot show a window here: the library xcb-cursor is missing. "
            "On Debian, Ubuntu and Mint: sudo apt install libxcb-cursor0."
        )
    library = re.search(r"lib[\w+-]+\.so[.\d]*", words)
    if library:
        return f"Qt cannot show a window here: it lacks the library {library.group()}, which desktops have."
    last = (words.strip().splitlines() or ["it said nothing"])[-1]
    return f"Qt cannot show a window here: {last.strip()}."
