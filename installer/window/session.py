"""One run of the installer, on a thread of its own beside the window."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal

from installer.events import Event, Finished
from installer.steps import FrontEnd, Stop


class Session(QObject, FrontEnd):
    """Does some work, and tells what it tells on the window's thread. What there is to ask, the window has asked.

    Args:
        work: called on the thread of its own with this, as its front end, and with the wish to stop.

    Attributes:
        told: what the work tells, in order; `Finished` is told as `finished` alone, when the thread has ended.
        finished: how it ended.
        log: all that was told, for a report.
    """

    told = Signal(object)
    finished = Signal(object)
    _passed_over = Signal(object)

    def __init__(self, work: Callable[[Session, Stop], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.log: list[str] = []
        self._do = work
        self._stop = Stop()
        self._end = Finished(1, True, "The installer ended without a word. Try again: it takes up from what there is.")
        # No daemon: Python waits for it, so that nothing is left half done when the window goes.
        self._thread = threading.Thread(target=self._work)
        # From thread to thread, whatever the binding would choose by itself.
        self._passed_over.connect(self._receive, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop, which takes back what it made; `finished` comes when that is done."""
        self._stop.request()

    def tell(self, event: object) -> None:
        """Pass an event, or what else was found, on to the window; called on the thread that works."""
        self._passed_over.emit(event)

    def _work(self) -> None:
        try:
            self._do(self, self._stop)
        except BaseException as error:
            # A fault of the installer's own; what is written down lets the next run mend what it left.
            for line in traceback.format_exc().splitlines():
                self.log.append(line)
            message = (
                f"The installer ended before it was done ({type(error).__name__}: {error}). Try again: it takes up "
                "from what there is, and nothing half-made is used."
            )
            self.tell(Finished(1, True, message))
        self._passed_over.emit(None)

    def _receive(self, event: object) -> None:
        if event is None:
            self._thread.join()
            self.finished.emit(self._end)
        elif isinstance(event, Finished):
            self._end = event
        else:
            if isinstance(event, Event):
                self.log.append(json.dumps(event.as_json(), ensure_ascii=False))
            self.told.emit(event)
