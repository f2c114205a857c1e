"""One run of the installer, as the window sees it."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from installer.events import Event, Finished, Log
from installer.window import feed
from installer.window.process import Child


class InstallerRun(QObject):
    """Runs the installer and tells its events.

    Attributes:
        told: an event, in the installer's order; `Finished` is told as `finished` alone.
        finished: how it ended. An installer that dies without a word has finished too.
        log: all that was said, for a report.
    """

    told = Signal(Event)
    finished = Signal(Finished)

    def __init__(self, command: list[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.log: list[str] = []
        self._end: Finished | None = None
        self._complaints: list[str] = []
        self.child = Child(command, parent=self)
        self.child.line.connect(self._line)
        self.child.complaint.connect(self._complaint)
        self.child.ended.connect(self._ended)

    def start(self) -> None:
        """Start the installer."""
        self.child.start()

    def stop(self) -> None:
        """Ask it to stop, which takes back what it made; `finished` comes when that is done."""
        self.child.send(feed.STOP)

    def _line(self, line: str) -> None:
        event = feed.event_in(line)
        if isinstance(event, Finished):
            self._end = event
            return
        self.log.append(line)
        if event is None:
            event = Log("", line)
        self.told.emit(event)

    def _complaint(self, line: str) -> None:
        self.log.append(line)
        self._complaints.append(line)
        self.told.emit(Log("", line))

    def _ended(self, status: int) -> None:
        self.finished.emit(self._end or self._end_without_event(status))

    def _end_without_event(self, status: int) -> Finished:
        """How a run ended that did not say so: a process can be killed."""
        last = next((line.strip() for line in reversed(self._complaints) if line.strip()), "no message")
        message = (
            f"The installer ended before it was done (exit status {status}: {last}). Try again: it takes up from what "
            "there is, and nothing half-made is used."
        )
        return Finished(status, True, message)
