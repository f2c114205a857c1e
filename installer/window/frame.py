"""The window: the list of pages at the left, the page, and the buttons under it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from installer.window import look
from installer.window.widgets import bare, give_part, label

#: A button's words, and what it does.
Offer = tuple[str, Callable[[], object]] | None


class Page(QWidget):
    """One page: a title, a line under it, and a body that scrolls when the window is small.

    Attributes:
        changed: the page's buttons are to be looked at again.
    """

    changed = Signal()

    def __init__(self, title: str, lead: str) -> None:
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(look.MARGIN, look.MARGIN, look.MARGIN, 0)
        outer.setSpacing(4)
        self.title: QLabel = label(title, "title")
        self.lead: QLabel = label(lead, "lead")
        outer.addWidget(self.title)
        outer.addWidget(self.lead)
        outer.addSpacing(look.GAP)
        content = _Content()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(0, 0, 6, look.GAP)
        self.body.setSpacing(look.GAP)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        # Else the view paints a ground of its own over the window's.
        scroll.viewport().setAutoFillBackground(False)
        content.setAutoFillBackground(False)
        outer.addWidget(scroll, 1)

    def say(self, title: str, lead: str) -> None:
        """Change the title and the line under it."""
        self.title.setText(title)
        self.lead.setText(lead)


class _Content(QWidget):
    """As high as its texts need at the width there is: a scroll area alone would squeeze lines that wrap."""

    def event(self, event: QEvent) -> bool:
        """Take the height that is needed."""
        column = self.layout()
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest) and column is not None:
            self.setMinimumHeight(max(0, column.totalMinimumHeightForWidth(self.width())))
        return super().event(event)


class PageFrame(QDialog):
    """The window: a dialog, for Enter and Esc mean what they mean there. What buttons do is for the controller to say.

    Attributes:
        closing: somebody wants to close the window.
    """

    closing = Signal(QCloseEvent)

    def __init__(self, entries: list[str]) -> None:
        super().__init__()
        self.setWindowTitle("SAMA for GIMP")
        self.setWindowFlags(Qt.WindowType.Window)
        self.setMinimumSize(680, 480)
        self.resize(880, 640)
        across = bare(QHBoxLayout(self))
        across.addWidget(self._side(entries))
        column = bare(QVBoxLayout())
        across.addLayout(column, 1)
        self.pages = QStackedWidget()
        column.addWidget(self.pages, 1)
        rule = QFrame()
        rule.setProperty("part", "rule")
        rule.setFixedHeight(1)
        column.addWidget(rule)
        column.addLayout(self._buttons())
        self._styled_for = ""
        self._new_page = True
        self._follow_palette()

    def show_page(self, page: Page, entry: str | None) -> None:
        """Show `page`, and `entry` as where that is in the list."""
        if self.pages.indexOf(page) < 0:
            self.pages.addWidget(page)
        self._new_page = True
        self.pages.setCurrentWidget(page)
        for name, shown in self.entries.items():
            give_part(shown, "entry-now" if name == entry else "entry")

    def offer(self, back: Offer = None, other: Offer = None, next: Offer = None) -> None:
        """Give the buttons their words and what they do; a button without is not there."""
        held = self.focusWidget()
        for button, offer in ((self.back, back), (self.other, other), (self.next, next)):
            text, self._does[button] = offer or ("", lambda: None)
            button.setText(text)
            button.setVisible(bool(text))
            button.setEnabled(True)
        main = self.next if next else self.other if other else self.back
        main.setDefault(True)
        # Not at every change on a page: whoever goes through it by keyboard would be thrown out each time.
        if self._new_page or held in (None, *self._does):
            main.setFocus(Qt.FocusReason.OtherFocusReason)
        self._new_page = False

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask the controller."""
        self.closing.emit(event)

    def reject(self) -> None:
        """Esc closes the window as its own button does, and does not merely hide it."""
        self.close()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the system from light to dark and back."""
        if event.type() == QEvent.Type.PaletteChange:
            self._follow_palette()
        super().changeEvent(event)

    def _follow_palette(self) -> None:
        sheet = look.stylesheet(self.palette(), self.font())
        # Setting a style sheet changes the palette, which leads here again.
        if sheet != self._styled_for:
            self._styled_for = sheet
            self.setStyleSheet(sheet)

    def _side(self, entries: list[str]) -> QFrame:
        side = QFrame()
        side.setProperty("part", "side")
        side.setFixedWidth(176)
        column = QVBoxLayout(side)
        column.setContentsMargins(14, look.MARGIN, 14, look.MARGIN)
        column.setSpacing(4)
        column.addWidget(label("SAMA for GIMP", "heading"))
        column.addSpacing(look.GAP)
        self.entries: dict[str, QLabel] = {}
        for entry in entries:
            self.entries[entry] = QLabel(entry)
            self.entries[entry].setProperty("part", "entry")
            column.addWidget(self.entries[entry])
        column.addStretch(1)
        return side

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(look.MARGIN, 14, look.MARGIN, 14)
        row.setSpacing(look.GAP)
        self.back, self.other, self.next = QPushButton(), QPushButton(), QPushButton()
        self._does: dict[QPushButton, Callable[[], object]] = {}
        for button in (self.back, self.other, self.next):
            button.clicked.connect(lambda *_, button=button: self._does[button]())
        row.addWidget(self.back)
        row.addStretch(1)
        row.addWidget(self.other)
        row.addWidget(self.next)
        self.next.setProperty("part", "main")
        return row
