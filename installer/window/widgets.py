"""The small parts that pages are made of: labels, signs, boxes, findings, the list of steps, a way through menus."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from installer.window import look

#: The height of a sign in pixels, and how it turns.
SIGN = 20
_TURN_MS = 40
_TURN_DEGREES = 14


def label(text: str, part: str = "", parent: QWidget | None = None) -> QLabel:
    """A label that wraps, whose text can be marked and copied; `part` names its look."""
    made = QLabel(text, parent)
    # Never rich text: names of folders and words of other programs are shown as they are.
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    if part:
        made.setProperty("part", part)
    return made


def beside_icon(made: QLabel) -> QLabel:
    """`made`, moved down so that its first line is level with the sign in front of it."""
    lower = max(0, (SIGN - made.fontMetrics().height()) // 2)
    made.setContentsMargins(0, lower, 0, 0)
    made.setAlignment(Qt.AlignmentFlag.AlignTop)
    return made


def give_part(widget: QWidget, part: str) -> None:
    """Change the look of a widget that is on the screen already."""
    widget.setProperty("part", part)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def place(path: str) -> str:
    """A path as people read it: the home folder is ~, where that is known."""
    home = str(Path.home())
    known = sys.platform != "win32" and path.startswith(home + os.sep)
    return "~" + path[len(home) :] if known else path


def size(count: int) -> str:
    """`count` bytes as people read them: 3.2 GB, 375 MB."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            number = count / scale
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{count} bytes"


class State(Enum):
    """How it stands with a step or a finding; the value is what a screen reader says."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NOTE = "note"
    FAILED = "failed"
    SKIPPED = "skipped"


class StateIcon(QWidget):
    """Shows one `State`."""

    def __init__(self, state: State = State.WAITING, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(QSize(SIGN, SIGN))
        self._angle = 0
        self._turning = QTimer(self)
        self._turning.setInterval(_TURN_MS)
        self._turning.timeout.connect(self._turn)
        self.state = state
        self.show_state(state)

    def show_state(self, state: State) -> None:
        """Show `state` from now on."""
        self.state = state
        self.setAccessibleName(state.value)
        self.setToolTip(state.value)
        if state is State.RUNNING:
            self._turning.start()
        else:
            self._turning.stop()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the sign."""
        tint = look.tints(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ring = QRectF(2, 2, 16, 16)
        if self.state in (State.WAITING, State.SKIPPED):
            painter.setPen(QPen(tint.line, 2))
            painter.drawEllipse(ring)
            if self.state is State.SKIPPED:
                painter.setPen(_pen(tint.muted))
                painter.drawLine(QPointF(6.5, 10), QPointF(13.5, 10))
        elif self.state is State.RUNNING:
            painter.setPen(QPen(tint.line, 2))
            painter.drawEllipse(ring)
            painter.setPen(_pen(tint.accent))
            painter.drawArc(ring, -self._angle * 16, 100 * 16)
        else:
            ground = {State.DONE: tint.good, State.NOTE: tint.warning, State.FAILED: tint.bad}[self.state]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ground)
            painter.drawEllipse(ring.adjusted(-1, -1, 1, 1))
            painter.setPen(_pen(QColor("#10151d" if look.is_dark(self.palette()) else "#ffffff")))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            self._draw_sign(painter)
        painter.end()

    def _draw_sign(self, painter: QPainter) -> None:
        if self.state is State.DONE:
            painter.drawPolyline([QPointF(6, 10.5), QPointF(8.8, 13.2), QPointF(14, 7.2)])
        elif self.state is State.FAILED:
            painter.drawLine(QPointF(7, 7), QPointF(13, 13))
            painter.drawLine(QPointF(13, 7), QPointF(7, 13))
        else:
            painter.drawLine(QPointF(10, 5.5), QPointF(10, 10.8))
            painter.drawPoint(QPointF(10, 14.2))

    def _turn(self) -> None:
        self._angle = (self._angle + _TURN_DEGREES) % 360
        self.update()


def _pen(color: QColor) -> QPen:
    return QPen(color, 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


class Box(QFrame):
    """A frame with a column of things in it."""

    def __init__(self, part: str = "box", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("part", part)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 12, 16, 12)
        self.column.setSpacing(look.GAP)


class Finding(QWidget):
    """A sign, a name, and what was found."""

    def __init__(self, state: State, name: str, text: str, more: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        self.icon = StateIcon(state)
        row.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        heading = beside_icon(label(name, "heading"))
        heading.setFixedWidth(120)
        row.addWidget(heading, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(beside_icon(label(text)))
        if more:
            texts.addWidget(label(more, "muted"))
        row.addLayout(texts, 1)
        self.setAccessibleName(f"{name}: {text} ({state.value})")


class Notice(Box):
    """What is amiss in one sentence, and what to do about it."""

    def __init__(self, state: State, sentence: str, remedy: str = "", parent: QWidget | None = None) -> None:
        super().__init__("bad" if state is State.FAILED else "warning", parent)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(StateIcon(state), 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(beside_icon(label(sentence, "heading")))
        if remedy:
            texts.addWidget(label(remedy))
        row.addLayout(texts, 1)
        self.column.addLayout(row)
        self.setAccessibleName(f"{sentence} {remedy}".strip())


class StepList(Box):
    """Steps by name, in the order in which they were named first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("box", parent)
        self._rows: dict[str, _Row] = {}

    def clear(self) -> None:
        """Forget all steps."""
        for row in self._rows.values():
            self.column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._rows.clear()

    def show_step(self, name: str, title: str, state: State, detail: str = "") -> None:
        """Show how it stands with the step `name`; a new name is a new row at the end."""
        if name not in self._rows:
            self._rows[name] = _Row(self)
            self.column.addWidget(self._rows[name])
        self._rows[name].show_step(title, state, detail)

    def states(self) -> dict[str, State]:
        """How it stands with each step."""
        return {name: row.icon.state for name, row in self._rows.items()}

    def end_running(self, state: State) -> None:
        """Give every step that is running the sign `state`."""
        for row in self._rows.values():
            if row.icon.state is State.RUNNING:
                row.icon.show_state(state)


class _Row(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        across = QHBoxLayout(self)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(10)
        self.icon = StateIcon()
        across.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        self._title: QLabel = beside_icon(label(""))
        self._detail: QLabel = label("", "muted")
        texts.addWidget(self._title)
        texts.addWidget(self._detail)
        across.addLayout(texts, 1)

    def show_step(self, title: str, state: State, detail: str) -> None:
        self.icon.show_state(state)
        self._title.setText(title)
        give_part(self._title, "muted" if state in (State.WAITING, State.SKIPPED) else "heading")
        self._detail.setText(detail)
        self._detail.setVisible(bool(detail))
        self.setAccessibleName(f"{title}: {state.value}. {detail}".strip())


class MenuPath(QWidget):
    """For example Filters ▸ SAMA Select…, and what that entry does."""

    def __init__(self, entries: list[str], does: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for number, entry in enumerate(entries):
            if number:
                row.addWidget(QLabel("▸"))
            pill = QLabel(entry)
            pill.setProperty("part", "pill")
            row.addWidget(pill)
        row.addSpacing(8)
        row.addWidget(label(does, "muted"), 1)
        self.setAccessibleName(f"Menu {', then '.join(entries)}: {does}")
