"""A way through GIMP's menus, shown as a row of its entries."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from installer.window.parts.words import label


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
