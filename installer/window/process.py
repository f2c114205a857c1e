"""A child process that talks in lines, and that the window never waits for."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from installer.child_processes import clean_environment


class Child(QObject):
    """One run of a program.

    Attributes:
        line: a line of its standard output.
        complaint: a line of its standard error.
        ended: it has ended, and all that it said has been told; with its exit status, -1 when it was killed or could
            not be started.
    """

    line = Signal(str)
    complaint = Signal(str)
    ended = Signal(int)

    def __init__(self, command: list[str], extra: dict[str, str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rest = {"out": b"", "err": b""}
        self._over = False
        self._process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in {**clean_environment(), **(extra or {})}.items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        # From the root folder: Python looks for modules in the current one first.
        self._process.setWorkingDirectory(Path(command[0]).anchor or "/")
        self._process.setProgram(command[0])
        self._process.setArguments(command[1:])
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_complaints)
        self._process.finished.connect(lambda status, how: self._end(status, how))
        self._process.errorOccurred.connect(self._not_started)

    @property
    def pid(self) -> int:
        """The process's id; 0 when it does not run."""
        return int(self._process.processId())

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._over

    def start(self) -> None:
        """Start it."""
        self._process.start()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line of JSON to its standard input."""
        if self.running:
            self._process.write((json.dumps(message) + "\n").encode())

    def interrupt(self) -> None:
        """End it as Ctrl+C does, where the system has that: for programs that do not listen for a line."""
        if sys.platform == "win32":
            self._process.kill()
        elif self.pid:
            os.kill(self.pid, signal.SIGINT)

    def _read_output(self) -> None:
        self._split("out", bytes(self._process.readAllStandardOutput().data()), self.line)

    def _read_complaints(self) -> None:
        self._split("err", bytes(self._process.readAllStandardError().data()), self.complaint)

    def _split(self, stream: str, data: bytes, told: Any) -> None:
        *lines, self._rest[stream] = (self._rest[stream] + data).split(b"\n")
        for line in lines:
            told.emit(line.decode(errors="replace").rstrip("\r"))

    def _end(self, status: int, how: QProcess.ExitStatus) -> None:
        if self._over:
            return
        self._over = True
        self._read_output()
        self._read_complaints()
        for stream, told in (("out", self.line), ("err", self.complaint)):
            if self._rest[stream]:
                self._split(stream, b"\n", told)
        self.ended.emit(status if how == QProcess.ExitStatus.NormalExit else -1)

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.complaint.emit(self._process.errorString())
            self._end(-1, QProcess.ExitStatus.CrashExit)
