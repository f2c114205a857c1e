"""Open the GIMP that SAMA was put into."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import QProcess, QProcessEnvironment

from installer.child_processes import clean_environment
from installer.events import GimpSeen


def command(gimps: Iterable[GimpSeen]) -> list[str]:
    """How to start the first of `gimps` that has the plug-in; empty when that is not known."""
    for gimp in gimps:
        if gimp.action == "skip":
            continue
        if gimp.packaging == "flatpak" and shutil.which("flatpak"):
            return ["flatpak", "run", "org.gimp.GIMP"]
        program = Path(gimp.program) if gimp.program else None
        if program is None:
            continue
        # Beside the program without a window lies the one with it.
        window = program.with_name(program.name.replace("-console", ""))
        if window.is_file():
            return [str(window)]
    return []


def start(command: list[str]) -> bool:
    """Start it, on its own; return whether that worked."""
    process = QProcess()
    environment = QProcessEnvironment()
    for name, value in clean_environment().items():
        environment.insert(name, value)
    process.setProcessEnvironment(environment)
    process.setProgram(command[0])
    process.setArguments(command[1:])
    started = process.startDetached()
    return bool(started[0] if isinstance(started, tuple) else started)
