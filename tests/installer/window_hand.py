"""Somebody at the installer's window: presses what is there, waits for what comes, and keeps pictures of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton
from throwaway_machine import ROOT

from installer.window.controller import Controller
from installer.window.frame import Page

#: Where the pictures are kept, for a person to look at.
PICTURES = ROOT / "build" / "window"


class Hand:
    """Drives one window, in this process; what the window starts are real processes.

    Attributes:
        controller: the window's.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.frame = controller.frame

    @property
    def page(self) -> Page:
        page = self.frame.pages.currentWidget()
        assert isinstance(page, Page)
        return page

    def words(self) -> str:
        """All that can be read on the page."""
        # What was put on it just now is shown with the next events.
        QTest.qWait(20)
        return "\n".join(words_of(self.page))

    def buttons(self) -> dict[str, QPushButton]:
        """The buttons that are there, by their words."""
        frame = self.frame
        shown = [button for button in (frame.back, frame.other, frame.next) if button.isVisible()]
        return {button.text().replace("&", ""): button for button in shown}

    def press(self, words: str) -> None:
        """Click the button."""
        button = self.buttons()[words]
        assert button.isEnabled(), f"“{words}” cannot be pressed"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait_for(self, page: Page, seconds: float = 240) -> None:
        """Wait until the page is there and can be left."""
        self.wait(lambda: self.page is page and bool(self.buttons()), f"the page {type(page).__name__}", seconds)

    def wait_for_button(self, words: str, seconds: float = 240) -> None:
        self.wait(lambda: words in self.buttons() and self.buttons()[words].isEnabled(), f"“{words}”", seconds)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
        """Let the window live until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}; the page says:\n{self.words()}"
            QTest.qWait(20)

    def picture(self, name: str) -> None:
        """Keep a picture of the window."""
        QApplication.processEvents()
        PICTURES.mkdir(parents=True, exist_ok=True)
        assert self.frame.grab().save(str(PICTURES / f"{name}.png"))


def words_of(page: Page) -> list[str]:
    from qtpy.QtWidgets import QAbstractButton, QLabel

    shown = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    return shown + [button.text() for button in page.findChildren(QAbstractButton) if button.isVisible()]
