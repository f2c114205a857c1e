"""Before SAMA is removed: what goes, what stays, and whether the downloaded models go too."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox

from installer.window.frame import Page
from installer.window.parts.boxes import Box
from installer.window.parts.words import label, size


class RemovalPage(Page):
    """Asks about the models."""

    def __init__(self) -> None:
        super().__init__("Remove SAMA", "The engine and the plug-in are taken away, and nothing else.")
        box = Box()
        box.column.addWidget(label("Your pictures, GIMP's settings and your other plug-ins stay as they are."))
        self.models = QCheckBox()
        box.column.addWidget(self.models)
        self.body.addWidget(box)
        self.body.addStretch(1)

    def show_models(self, count: int, total: int) -> None:
        """Offer to delete the `count` downloaded model files of `total` bytes."""
        self.models.setVisible(count > 0)
        self.models.setChecked(False)
        files = "the model" if count == 1 else f"the {count} models"
        self.models.setText(f"&Delete {files} that were downloaded as well ({size(total)})")
