"""The small round sign in front of a step or a finding, drawn, so that it is sharp on every screen."""

from __future__ import annotations

from enum import Enum

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from installer.window import look
from installer.window.parts.words import SIGN

_TURN_MS = 40
_TURN_DEGREES = 14


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
