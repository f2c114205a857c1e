"""What went wrong, in one sentence, and what to do about it."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from installer.window.frame import Page
from installer.window.pages.welcome import split_remedy
from installer.window.parts.boxes import Notice
from installer.window.parts.details import Details
from installer.window.parts.state_icon import State
from installer.window.parts.words import label


class FailurePage(Page):
    """Shown when something failed, or was stopped."""

    def __init__(self) -> None:
        super().__init__("", "")
        self._holder = QWidget()
        self._column = QVBoxLayout(self._holder)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.body.addWidget(self._holder)
        self._told = label(
            "“Copy report” copies what happened, without your name or folders, for a bug report.", "muted"
        )
        self.body.addWidget(self._told)
        self.details = Details()
        self.body.addWidget(self.details, 1)
        self.body.addStretch(0)
        self.message = ""

    def show_failure(self, title: str, lead: str, message: str, log: str, stopped: bool) -> None:
        """Show `message`, a sentence and its remedy, and the log behind “Details”."""
        self.say(title, lead)
        self.message = message
        for index in reversed(range(self._column.count())):
            item = self._column.takeAt(index)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._column.addWidget(Notice(State.NOTE if stopped else State.FAILED, *split_remedy(message)))
        self._told.setVisible(not stopped)
        self.details.clear()
        self.details.add(log)
