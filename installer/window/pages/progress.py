"""What is being done, how far it is, the log behind “Details”, and how long a download is still going to take."""

from __future__ import annotations

import time
from collections import deque

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QLabel, QPlainTextEdit, QProgressBar, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from installer.events import STEPS, Event, Log, Note, Progress, StepDone, StepFailed, StepStarted, TakingBack
from installer.window.frame import Page
from installer.window.widgets import State, StepList, bare, label
from sama_core.weights.download import size_text

#: The bar counts in thousandths: Qt's bars count in 32 bits, and downloads have more bytes than that.
_FULL = 1000
#: pip says a line for each of some dozens of packages; what an endless loop says is not kept.
_MOST_LINES = 5000
#: Seconds looked back on: long enough to be calm, short enough to follow a network that changes.
_LOOKED_BACK = 15.0
#: Nothing is said before so many seconds have been seen.
_LEAST_SEEN = 3.0


class ProgressPage(Page):
    """The steps, a bar for the one that is running, and the log."""

    def __init__(self) -> None:
        super().__init__("Installing", "")
        self.steps = StepList()
        self.body.addWidget(self.steps)
        self._doing: QLabel = label("", "muted")
        self.body.addWidget(self._doing)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of this step")
        self.body.addWidget(self.bar)
        self.details = Details()
        self.body.addWidget(self.details, 1)
        self.body.addStretch(0)
        self._pace = Pace()
        self.taken_back = False

    def begin(self, title: str, lead: str, steps: list[str]) -> None:
        """Start anew with these steps, names of `STEPS`, none of them begun."""
        self.say(title, lead)
        self.steps.clear()
        self.steps.setVisible(bool(steps))
        self.details.log.clear()
        self.bar.show()
        self.taken_back = False
        for name in steps:
            self.steps.show_step(name, STEPS[name], State.WAITING)
        self._show_work(None)

    def show_event(self, event: Event) -> None:
        """Show one of the installer's events; what this page does not show is passed over."""
        if isinstance(event, StepStarted):
            self._start(event.step, event.title)
        elif isinstance(event, Progress):
            self._show_work(event.done / event.total if event.total else None, self._how_far(event))
        elif isinstance(event, StepDone):
            self._end(event.step, State.DONE)
        elif isinstance(event, StepFailed):
            self._end(event.step, State.FAILED, event.message)
        elif isinstance(event, (Log, Note)):
            self.details.add(event.text)
        elif isinstance(event, TakingBack):
            self.taken_back = True
            self.say("Taking it back", "What was made so far is being taken away again. This takes a moment.")
            self._show_work(None)

    def end(self, title: str, lead: str) -> None:
        """Say that all is done."""
        self.say(title, lead)
        self._doing.hide()
        self.bar.hide()

    def stopping(self) -> None:
        """Say that the wish to stop was heard."""
        self.say("Stopping", "What was made so far is taken away again. What was downloaded whole is kept.")

    def _start(self, step: str, title: str) -> None:
        self.steps.show_step(step, title or STEPS[step], State.RUNNING)
        self.details.add(f"— {title}")
        self._pace = Pace()
        self._show_work(None)

    def _end(self, step: str, state: State, text: str = "") -> None:
        self.steps.show_step(step, STEPS.get(step, step), state, text)
        if text:
            self.details.add(text)
        self._show_work(1.0)

    def _show_work(self, part: float | None, text: str = "") -> None:
        self._doing.setText(text)
        self._doing.setVisible(bool(text))
        self.bar.setRange(0, 0 if part is None else _FULL)
        if part is not None:
            self.bar.setValue(round(min(part, 1.0) * _FULL))

    def _how_far(self, event: Progress) -> str:
        parts = [event.text] if event.text else []
        if event.total:
            parts.append(f"{size_text(event.done)} of {size_text(event.total)}")
            left = self._pace.left(event.done, event.total)
            parts += [left] if left else []
        elif event.done:
            parts.append(size_text(event.done))
        return "  ·  ".join(parts)


class Details(QWidget):
    """A button that opens and closes the log under it."""

    def __init__(self) -> None:
        super().__init__()
        column = bare(QVBoxLayout(self))
        self.button = QToolButton()
        self.button.setText("&Details")
        self.button.setCheckable(True)
        self.button.setArrowType(Qt.ArrowType.RightArrow)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.toggled.connect(self._open)
        column.addWidget(self.button)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(_MOST_LINES)
        self.log.setTabChangesFocus(True)
        self.log.setAccessibleName("Log of the installation")
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setMinimumHeight(140)
        column.addWidget(self.log, 1)
        self._open(False)

    def add(self, line: str) -> None:
        """Put a line under the others."""
        self.log.appendPlainText(line)

    def _open(self, opened: bool) -> None:
        self.log.setVisible(opened)
        # Closed it takes no more room than its button.
        room = QSizePolicy.Policy.Expanding if opened else QSizePolicy.Policy.Maximum
        self.setSizePolicy(QSizePolicy.Policy.Expanding, room)
        self.button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)


class Pace:
    """Reckons the time that is left from what was done in the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def left(self, done: int, total: int) -> str:
        """Take note of `done` bytes; return what to say of the time left, "" as long as nothing can be said."""
        now = time.monotonic()
        if self._seen and done < self._seen[-1][1]:
            # Another file, or another step.
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _LOOKED_BACK:
            self._seen.popleft()
        seconds, moved = now - self._seen[0][0], done - self._seen[0][1]
        if moved <= 0 or seconds < _LEAST_SEEN:
            return ""
        return _in_words((total - done) * seconds / moved)


def _in_words(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 90:
        return "about a minute left" if minutes == 1 else f"about {minutes} minutes left"
    return f"about {round(minutes / 60)} hours left"
