"""Boxes: a frame with rows of findings, and a notice with what is amiss and what to do about it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from installer.window import look
from installer.window.parts.state_icon import State, StateIcon
from installer.window.parts.words import beside_icon, label


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
