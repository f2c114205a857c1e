"""The end of a good installation: where the menu entries are."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from installer.window.frame import Page
from installer.window.parts.boxes import Box
from installer.window.parts.menu_path import MenuPath
from installer.window.parts.words import label


class DonePage(Page):
    """Where to find SAMA in GIMP, and how to begin."""

    def __init__(self) -> None:
        super().__init__(
            "SAMA is installed", "If GIMP is open, close it and start it again: it then has two new entries."
        )
        menus = Box()
        menus.column.addWidget(label("In GIMP's menus", "heading"))
        menus.column.addWidget(MenuPath(["Filters", "SAMA Select…"], "makes a selection"))
        menus.column.addWidget(MenuPath(["Layer", "Add SAMA Alpha Matte…"], "cuts the layer out, hair and all"))
        self.body.addWidget(menus)
        how = Box()
        how.column.addWidget(label("A first try", "heading"))
        for number, text in enumerate(
            (
                "Open a photo and take the Path tool (press B).",
                "Click once on the thing you want, or two or three times on its parts.",
                "Choose Filters ▸ SAMA Select… and press OK.",
            ),
            start=1,
        ):
            how.column.addWidget(label(f"{number}.  {text}"))
        self.body.addWidget(how)
        self._more: QLabel = label("", "muted")
        self.body.addWidget(self._more)
        self.body.addStretch(1)

    def show_more(self, text: str) -> None:
        """Say something that this run gave, for example that a model was not downloaded."""
        self._more.setText(text)
        self._more.setVisible(bool(text))
