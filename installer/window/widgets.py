"""The small parts that pages are made of: labels, signs, boxes, findings, the list of steps, a way through menus."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import TypeVar

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QLayout, QSizePolicy, QVBoxLayout, QWidget

from installer.window import look

AnyLayout = TypeVar("AnyLayout", bound=QBoxLayout)

#: The height of a sign in pixels, and how it turns.
SIGN = 20
_TURN_MS = 40
_TURN_DEGREES = 14


def label(text: str, part: str = "") -> QLabel:
    """A label that wraps, whose text can be marked and copied; `part` names its look."""
    made = QLabel(text)
    # Never rich text: names of folders and words of other programs are shown as they are.
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    if part:
        made.setProperty("part", part)
    return made


def bare(column: AnyLayout, spacing: int = 0) -> AnyLayout:
    """A layout without margins."""
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    return column


def clear(column: QLayout) -> None:
    """Take all widgets out of a layout, and spaces between them."""
    while (item := column.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()


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


def place(text: str) -> str:
    """A text with the paths in it as people read them: the home folder is ~, where that is known."""
    return text if sys.platform == "win32" else text.replace(str(Path.home()) + os.sep, "~" + os.sep)


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

    def __init__(self, state: State) -> None:
        super().__init__()
        self.setFixedSize(QSize(SIGN, SIGN))
        self._angle = 0
        self._turning = QTimer(self)
        self._turning.setInterval(_TURN_MS)
        self._turning.timeout.connect(self._turn)
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
            ground, lines = {
                State.DONE: (tint.good, [[(6, 10.5), (8.8, 13.2), (14, 7.2)]]),
                State.NOTE: (tint.warning, [[(10, 5.5), (10, 10.8)], [(10, 14.2), (10, 14.2)]]),
                State.FAILED: (tint.bad, [[(7, 7), (13, 13)], [(13, 7), (7, 13)]]),
            }[self.state]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ground)
            painter.drawEllipse(ring.adjusted(-1, -1, 1, 1))
            painter.setPen(_pen(QColor("#10151d" if look.is_dark(self.palette()) else "#ffffff")))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for line in lines:
                painter.drawPolyline([QPointF(*point) for point in line])
        painter.end()

    def _turn(self) -> None:
        self._angle = (self._angle + _TURN_DEGREES) % 360
        self.update()


def _pen(color: QColor) -> QPen:
    return QPen(color, 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


class Box(QFrame):
    """A frame with a column of things in it."""

    def __init__(self, part: str = "box") -> None:
        super().__init__()
        self.setProperty("part", part)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 12, 16, 12)
        self.column.setSpacing(look.GAP)


class Signed(QWidget):
    """A sign, and texts beside it."""

    def __init__(self, state: State, *texts: QLabel, spacing: int = 2) -> None:
        super().__init__()
        self.row = bare(QHBoxLayout(self), 10)
        self.icon = StateIcon(state)
        self.row.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        column = bare(QVBoxLayout(), spacing)
        for text in texts:
            column.addWidget(text)
        self.row.addLayout(column, 1)
        beside_icon(texts[0])


class Finding(Signed):
    """A sign, a name, and what was found."""

    def __init__(self, state: State, name: str, text: str, more: str = "") -> None:
        super().__init__(state, label(text), *([label(more, "muted")] if more else []))
        heading = beside_icon(label(name, "heading"))
        heading.setFixedWidth(120)
        self.row.insertWidget(1, heading, 0, Qt.AlignmentFlag.AlignTop)
        self.setAccessibleName(f"{name}: {text} ({state.value})")


class Notice(Box):
    """What is amiss in one sentence, and what to do about it."""

    def __init__(self, state: State, sentence: str, remedy: str = "") -> None:
        super().__init__("bad" if state is State.FAILED else "warning")
        texts = [label(sentence, "heading"), *([label(remedy)] if remedy else [])]
        self.column.addWidget(Signed(state, *texts, spacing=4))
        self.setAccessibleName(f"{sentence} {remedy}".strip())


class StepList(Box):
    """Steps by name, in the order in which they were named first."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, _Row] = {}

    def clear(self) -> None:
        """Forget all steps."""
        clear(self.column)
        self._rows.clear()

    def show_step(self, name: str, title: str, state: State, detail: str = "") -> None:
        """Show how it stands with the step `name`; a new name is a new row at the end."""
        if name not in self._rows:
            self._rows[name] = _Row()
            self.column.addWidget(self._rows[name])
        self._rows[name].show_step(title, state, detail)

    def end_running(self, state: State) -> None:
        """Give every step that is running the sign `state`."""
        for row in self._rows.values():
            if row.icon.state is State.RUNNING:
                row.icon.show_state(state)


class _Row(Signed):
    def __init__(self) -> None:
        self._title, self._detail = label(""), label("", "muted")
        super().__init__(State.WAITING, self._title, self._detail)

    def show_step(self, title: str, state: State, detail: str) -> None:
        self.icon.show_state(state)
        self._title.setText(title)
        give_part(self._title, "muted" if state in (State.WAITING, State.SKIPPED) else "heading")
        self._detail.setText(detail)
        self._detail.setVisible(bool(detail))
        self.setAccessibleName(f"{title}: {state.value}. {detail}".strip())


class MenuPath(QWidget):
    """For example Filters ▸ SAMA Select…, and what that entry does."""

    def __init__(self, entries: list[str], does: str) -> None:
        super().__init__()
        row = bare(QHBoxLayout(self), 8)
        for number, entry in enumerate(entries):
            if number:
                row.addWidget(QLabel("▸"))
            pill = QLabel(entry)
            pill.setProperty("part", "pill")
            row.addWidget(pill)
        row.addSpacing(8)
        row.addWidget(label(does, "muted"), 1)
        self.setAccessibleName(f"Menu {', then '.join(entries)}: {does}")
