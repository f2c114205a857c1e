"""Show the window:  python -m installer.window [the installer's options]."""

from __future__ import annotations

import signal
import sys

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from installer.window.controller import Controller
from installer.window_launch import UP

#: How often, in milliseconds, Python gets a turn to heed a signal while Qt waits for events.
_HEED_SIGNALS = 300


def main(options: list[str]) -> int:
    """Show the window until it is closed."""
    application = QApplication(sys.argv[:1])
    application.setApplicationDisplayName("SAMA for GIMP")
    application.setStyle("Fusion")
    application.setDesktopFileName("sama-gimp-installer")
    controller = Controller(tuple(options))
    heeding = QTimer()
    heeding.timeout.connect(lambda: None)
    heeding.start(_HEED_SIGNALS)
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, lambda *_: controller.leave())
    controller.begin()
    print(UP, flush=True)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
