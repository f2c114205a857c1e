"""Show the window:  python -m installer.window --python EXE [-- the installer's options]."""

from __future__ import annotations

import argparse
import signal
import sys

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from installer.window.controller import Controller
from installer.window.programs import Programs
from installer.window_launch import UP

#: How often, in milliseconds, Python gets a turn to heed a signal while Qt waits for events.
_HEED_SIGNALS = 300


def main(arguments: list[str] | None = None) -> int:
    """Show the window until it is closed."""
    parser = argparse.ArgumentParser(prog="installer.window")
    parser.add_argument("--python", required=True, help="the interpreter to run the installer with")
    parser.add_argument("options", nargs="*", help="the installer's own options, after --")
    options = parser.parse_args(arguments)
    application = QApplication(sys.argv[:1])
    application.setApplicationDisplayName("SAMA for GIMP")
    application.setStyle("Fusion")
    application.setDesktopFileName("sama-gimp-installer")
    controller = Controller(Programs(options.python, tuple(options.options)))
    heeding = QTimer()
    heeding.timeout.connect(lambda: None)
    heeding.start(_HEED_SIGNALS)
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, lambda *_: controller.leave())
    controller.begin()
    print(UP, flush=True)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
