"""What is being done, how far it is, and the way to stop it."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QProgressBar

from installer.events import Event, Log, Note, Progress, StepDone, StepFailed, StepStarted, TakingBack
from installer.window.feed import step_title
from installer.window.frame import Page
from installer.window.parts.details import Details
from installer.window.parts.pace import Pace
from installer.window.parts.state_icon import State
from installer.window.parts.step_list import StepList
from installer.window.parts.words import label, size

#: The bar counts in thousandths: Qt's bars count in 32 bits, and downloads have more bytes than that.
_FULL = 1000


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

    def begin(self, title: str, lead: str, steps: list[tuple[str, str]]) -> None:
        """Start anew with these steps, (name, title) each, none of them begun."""
        self.say(title, lead)
        self.steps.clear()
        self.steps.setVisible(bool(steps))
        self.details.clear()
        self.bar.show()
        self.taken_back = False
        for name, text in steps:
            self.steps.show_step(name, text, State.WAITING)
        self._bar_for(None)
        self._say_doing("")

    def show_event(self, event: Event) -> None:
        """Show one of the installer's events; what this page does not show is passed over."""
        if isinstance(event, StepStarted):
            self._start(event.step, event.title)
        elif isinstance(event, Progress):
            self._bar_for(event.done / event.total if event.total else None)
            self._say_doing(self._how_far(event))
        elif isinstance(event, StepDone):
            self._end(event.step, State.DONE, event.text)
        elif isinstance(event, StepFailed):
            self._end(event.step, State.FAILED, event.message)
        elif isinstance(event, (Log, Note)):
            self.details.add(event.text)
        elif isinstance(event, TakingBack):
            self.taken_back = True
            self.say("Taking it back", "What was made so far is being taken away again. This takes a moment.")
            self._bar_for(None)
            self._say_doing("")

    def end(self, title: str, lead: str) -> None:
        """Say that all is done."""
        self.say(title, lead)
        self.bar.hide()
        self._say_doing("")

    def stopping(self) -> None:
        """Say that the wish to stop was heard."""
        self.say("Stopping", "What was made so far is taken away again. What was downloaded whole is kept.")

    def _start(self, step: str, title: str) -> None:
        self.steps.show_step(step, title or step_title(step), State.RUNNING)
        self.details.add(f"— {title}")
        self._pace = Pace()
        self._bar_for(None)
        self._say_doing("")

    def _end(self, step: str, state: State, text: str) -> None:
        self.steps.show_step(step, step_title(step), state, text)
        if text:
            self.details.add(text)
        self._bar_for(1.0)
        self._say_doing("")

    def _say_doing(self, text: str) -> None:
        self._doing.setText(text)
        self._doing.setVisible(bool(text))

    def _how_far(self, event: Progress) -> str:
        parts = [event.text] if event.text else []
        if event.total:
            parts.append(f"{size(event.done)} of {size(event.total)}")
            left = self._pace.left(event.done, event.total)
            parts += [left] if left else []
        elif event.done:
            parts.append(size(event.done))
        return "  ·  ".join(parts)

    def _bar_for(self, part: float | None) -> None:
        self.bar.setRange(0, 0 if part is None else _FULL)
        if part is not None:
            self.bar.setValue(round(min(part, 1.0) * _FULL))
