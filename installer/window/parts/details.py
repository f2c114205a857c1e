"""“Details”: the whole log, out of the way until it is asked for."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QPlainTextEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

#: pip says a line for each of some dozens of packages; what an endless loop says is not kept.
_MOST_LINES = 5000


class Details(QWidget):
    """A button that opens and closes the log under it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
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

    def text(self) -> str:
        """All lines."""
        return self.log.toPlainText()

    def clear(self) -> None:
        """Forget all lines."""
        self.log.clear()

    def _open(self, opened: bool) -> None:
        self.log.setVisible(opened)
        # Closed it takes no more room than its button.
        room = QSizePolicy.Policy.Expanding if opened else QSizePolicy.Policy.Maximum
        self.setSizePolicy(QSizePolicy.Policy.Expanding, room)
        self.button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
