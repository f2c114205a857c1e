"""Which models to have: the one that comes with SAMA, and larger ones to download or to take from a file."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from installer.events import ModelOffer
from installer.window.frame import Page
from installer.window.widgets import Box, clear, label, place
from sama_core.weights.download import size_text


class ModelsPage(Page):
    """The models to choose from."""

    def __init__(self) -> None:
        lead = "The small model is all you need to begin. Larger ones are for computers with a strong graphics card."
        super().__init__("Models", lead)
        self.cards: dict[str, ModelCard] = {}
        self._sum: QLabel = label("", "muted")
        self._cards = QVBoxLayout()
        self.body.addLayout(self._cards)
        self.body.addWidget(self._sum)
        self.body.addStretch(1)

    def show_offers(self, offers: Sequence[ModelOffer]) -> None:
        """Show what there is; what was chosen before of the same offers stays chosen."""
        before = {name: card.file for name, card in self.cards.items() if card.is_wanted}
        clear(self._cards)
        self.cards = {}
        for offer in offers:
            card = ModelCard(offer)
            if offer.name in before:
                card.want(before[offer.name])
            card.changed.connect(self._reckon)
            self.cards[offer.name] = card
            self._cards.addWidget(card)
        self._reckon()

    def wanted(self) -> list[str]:
        """What was chosen, in the order of the list: NAME, or NAME=FILE."""
        chosen = [(name, card.file) for name, card in self.cards.items() if card.is_wanted]
        return [f"{name}={file}" if file else name for name, file in chosen]

    def title_of(self, name: str) -> str:
        """The title of the model `name`."""
        return self.cards[name].offer.title if name in self.cards else name

    def _reckon(self) -> None:
        sizes = [card.offer.missing for card in self.cards.values() if card.is_wanted and not card.file]
        self._sum.setText(f"To be downloaded as well: {size_text(sum(sizes))}" if sizes else "No further download.")
        self.changed.emit()


class ModelCard(Box):
    """One model: whether to have it, and whether from a file.

    Attributes:
        file: the file to take it from, or "" to download it.
        changed: the choice is another one.
    """

    changed = Signal()

    def __init__(self, offer: ModelOffer) -> None:
        super().__init__()
        self.offer = offer
        self.file = ""
        top = QHBoxLayout()
        self.choice = QCheckBox(offer.title)
        self.choice.setChecked(not offer.missing)
        self.choice.setEnabled(bool(offer.missing))
        font = self.choice.font()
        font.setBold(True)
        self.choice.setFont(font)
        needs = offer.needs.replace("GPU", "graphics card")
        about = f"{offer.summary}. Needs {needs}."
        self.choice.setAccessibleDescription(about)
        self.choice.toggled.connect(self._toggled)
        top.addWidget(self.choice, 1)
        self._fact = QLabel()
        self._fact.setProperty("part", "muted" if offer.missing else "good")
        top.addWidget(self._fact, 0, Qt.AlignmentFlag.AlignRight)
        self.column.setSpacing(4)
        self.column.addLayout(top)
        self.column.addWidget(label(about))
        bottom = QHBoxLayout()
        self._source: QLabel = label("", "muted")
        bottom.addWidget(self._source, 1)
        self.pick = QPushButton("I have the file already…")
        self.pick.setAccessibleName(f"I have the file of {offer.title} already")
        self.pick.clicked.connect(self._pick)
        self.pick.setVisible(bool(offer.missing))
        bottom.addWidget(self.pick)
        self.column.addLayout(bottom)
        self._say_source()

    @property
    def is_wanted(self) -> bool:
        """Whether it was chosen and is not here."""
        return self.choice.isChecked() and bool(self.offer.missing)

    def want(self, file: str = "") -> None:
        """Choose this model, from `file` if there is one."""
        self.file = file
        self.choice.setChecked(True)
        self._say_source()

    def _pick(self) -> None:
        kinds = "Model files (*.pth *.safetensors);;All files (*)"
        file, _ = QFileDialog.getOpenFileName(self, f"The file of {self.offer.title}", "", kinds)
        if file:
            self.want(file)

    def _toggled(self, chosen: bool) -> None:
        if not chosen:
            self.file = ""
        self._say_source()

    def _say_source(self) -> None:
        offer = self.offer
        self._source.setText(f"Taken from {place(self.file)}" if self.file else f"Licence: {offer.licence}")
        if self.file:
            self._fact.setText("no download")
        elif not offer.missing:
            self._fact.setText("is there already")
        elif offer.missing < offer.size:
            self._fact.setText(f"{size_text(offer.missing)} of {size_text(offer.size)} still to download")
        else:
            self._fact.setText(f"{size_text(offer.size)} download")
        self.changed.emit()
