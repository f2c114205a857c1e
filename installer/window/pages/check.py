"""Trying it out: what the engine made of a picture, and what each GIMP says it knows."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from installer.events import Finding as Found
from installer.window.frame import Page
from installer.window.pages.welcome import split_remedy
from installer.window.parts.boxes import Box, Finding
from installer.window.parts.picture import Picture
from installer.window.parts.state_icon import State
from installer.window.parts.step_list import StepList
from installer.window.parts.words import label

_STATES = {True: State.DONE, False: State.FAILED, None: State.NOTE}


class CheckPage(Page):
    """The findings as they come in, and the picture."""

    def __init__(self) -> None:
        super().__init__("Trying it out", "")
        self._found = Box()
        self._rows: list[QWidget] = []
        self.body.addWidget(self._found)
        self._running = StepList()
        self.body.addWidget(self._running)
        self.picture = Picture("The sample photo, with what the engine found on it")
        self._caption: QLabel = label("What the clicks on a sample photo found:", "muted")
        pictured = QVBoxLayout()
        pictured.addWidget(self._caption)
        pictured.addWidget(self.picture, 1)
        self.body.addLayout(pictured, 1)
        self.body.addStretch(0)
        self.findings: list[Found] = []
        self.begin()

    def begin(self) -> None:
        """Start anew."""
        self.say("Trying it out", "The engine is started and asked for a real selection, then each GIMP for its menu.")
        for row in self._rows:
            row.hide()
            row.deleteLater()
        self._rows, self.findings = [], []
        self._found.hide()
        self.picture.hide()
        self._caption.hide()
        self._running.show()
        self._running.show_step("check", "The first time takes a minute or two …", State.RUNNING)

    def show_finding(self, finding: Found) -> None:
        """Show what trying out one thing gave."""
        self.findings.append(finding)
        self._found.show()
        text, remedy = (finding.text, "") if finding.ok else split_remedy(finding.text)
        row = Finding(_STATES[finding.ok], finding.subject, text, remedy)
        self._rows.append(row)
        self._found.column.addWidget(row)
        if finding.picture and self.picture.show_file(finding.picture):
            self._caption.show()

    def end(self, works: bool) -> None:
        """Say what came of it."""
        self._running.hide()
        if works:
            self.say("Everything works", "The engine answers, and GIMP knows the new menu entries.")
        else:
            self.say("Not everything works yet", "What was installed stays in place. Put this right, then try again.")
