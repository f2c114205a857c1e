"""Looking at the computer before anything is known, and trying out what was installed once all is done."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QPainter, QPainterPath, QPaintEvent, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from installer.events import Finding as Found
from installer.window import look
from installer.window.frame import Page
from installer.window.widgets import Box, Finding, State, StepList, clear, label
from installer.wording import split_remedy

_STATES = {True: State.DONE, False: State.FAILED, None: State.NOTE}
#: A small picture is shown larger than it is, but not so large that it is all blur.
_MOST_ENLARGED = 2.0


class LookingPage(Page):
    """Shown until the plan is there."""

    def __init__(self) -> None:
        super().__init__("Looking at this computer", "Nothing is changed by looking.")
        steps = StepList()
        steps.show_step("look", "Which GIMPs, which Python, which graphics card …", State.RUNNING)
        self.body.addWidget(steps)
        self.body.addStretch(1)


class CheckPage(Page):
    """The findings as they come in, and the picture."""

    def __init__(self) -> None:
        super().__init__("Trying it out", "")
        self._found = Box()
        self.body.addWidget(self._found)
        self._running = StepList()
        self.body.addWidget(self._running)
        self.picture = TrialPicture("The sample photo, with what the engine found on it")
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
        clear(self._found.column)
        self.findings = []
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
        self._found.column.addWidget(Finding(_STATES[finding.ok], finding.subject, text, remedy))
        if finding.picture and self.picture.show_file(finding.picture):
            self._caption.show()

    def end(self, works: bool) -> None:
        """Say what came of it."""
        self._running.hide()
        if works:
            self.say("Everything works", "The engine answers, and GIMP knows the new menu entries.")
        else:
            self.say("Not everything works yet", "What was installed stays in place. Put this right, then try again.")


class TrialPicture(QWidget):
    """Shows a picture file, with round corners."""

    def __init__(self, description: str) -> None:
        super().__init__()
        self._pixels = QPixmap()
        self.setAccessibleName(description)
        self.setMinimumHeight(160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_file(self, path: str) -> bool:
        """Show the picture in `path`; return whether there is one."""
        self._pixels = QPixmap(path)
        self.setVisible(not self._pixels.isNull())
        self.updateGeometry()
        self.update()
        return not self._pixels.isNull()

    def sizeHint(self) -> QSize:
        """The picture's own size."""
        return self._pixels.size() if not self._pixels.isNull() else QSize(320, 200)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture."""
        if self._pixels.isNull():
            return
        wide, high = self._pixels.width(), self._pixels.height()
        scale = min(self.width() / wide, self.height() / high, _MOST_ENLARGED)
        place = QRectF(0, 0, wide * scale, high * scale)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded = QPainterPath()
        rounded.addRoundedRect(place, look.RADIUS, look.RADIUS)
        painter.setClipPath(rounded)
        painter.drawPixmap(place, self._pixels, QRectF(self._pixels.rect()))
        painter.end()
