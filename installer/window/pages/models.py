"""Which models to have: the one that comes with SAMA, and larger ones to download or to take from a file."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from installer.window.frame import Page
from installer.window.parts.boxes import Box
from installer.window.parts.words import label, place, size


@dataclass(frozen=True)
class Offer:
    """A model as it is offered.

    Attributes:
        name: as `sama weights` knows it.
        title: as a person reads it.
        about: what it is for and what it needs, one or two sentences.
        size: bytes of its file.
        licence: of the file.
        present: it is there already.
        partial: bytes of it that an earlier download left here.
    """

    name: str
    title: str
    about: str
    size: int
    licence: str
    present: bool
    partial: int


@dataclass(frozen=True)
class Wanted:
    """A model to have: downloaded, or taken from the file `file`."""

    name: str
    title: str
    file: str = ""


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

    def show_offers(self, offers: list[Offer]) -> None:
        """Show what there is; what was chosen before of the same offers stays chosen."""
        before = {wanted.name: wanted for wanted in self.wanted()}
        for card in self.cards.values():
            self._cards.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = {}
        for offer in offers:
            card = ModelCard(offer)
            if offer.name in before:
                card.want(before[offer.name].file)
            card.changed.connect(self._reckon)
            self.cards[offer.name] = card
            self._cards.addWidget(card)
        self._reckon()

    def wanted(self) -> list[Wanted]:
        """What was chosen, in the order of the list."""
        return [
            Wanted(name, card.offer.title, card.file)
            for name, card in self.cards.items()
            if card.choice.isChecked() and not card.offer.present
        ]

    def _reckon(self) -> None:
        sizes = [_missing(self.cards[wanted.name].offer) for wanted in self.wanted() if not wanted.file]
        self._sum.setText(f"To be downloaded as well: {size(sum(sizes))}" if sizes else "No further download.")
        self.changed.emit()


class ModelCard(Box):
    """One model: whether to have it, and whether from a file.

    Attributes:
        file: the file to take it from, or "" to download it.
        changed: the choice is another one.
    """

    changed = Signal()

    def __init__(self, offer: Offer, parent: QWidget | None = None) -> None:
        super().__init__("box", parent)
        self.offer = offer
        self.file = ""
        top = QHBoxLayout()
        self.choice = QCheckBox(offer.title)
        self.choice.setChecked(offer.present)
        self.choice.setEnabled(not offer.present)
        font = self.choice.font()
        font.setBold(True)
        self.choice.setFont(font)
        self.choice.setAccessibleDescription(offer.about)
        self.choice.toggled.connect(self._toggled)
        top.addWidget(self.choice, 1)
        self._fact = QLabel(_fact(offer))
        self._fact.setProperty("part", "good" if offer.present else "muted")
        top.addWidget(self._fact, 0, Qt.AlignmentFlag.AlignRight)
        self.column.setSpacing(4)
        self.column.addLayout(top)
        self.column.addWidget(label(offer.about))
        bottom = QHBoxLayout()
        self._source: QLabel = label(f"Licence: {offer.licence}", "muted")
        bottom.addWidget(self._source, 1)
        self.pick = QPushButton("I have the file already…")
        self.pick.setAccessibleName(f"I have the file of {offer.title} already")
        self.pick.clicked.connect(self._pick)
        self.pick.setVisible(not offer.present)
        bottom.addWidget(self.pick)
        self.column.addLayout(bottom)

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
        taken = f"Taken from {place(self.file)}" if self.file else f"Licence: {self.offer.licence}"
        self._source.setText(taken)
        self._fact.setText("no download" if self.file else _fact(self.offer))
        self.changed.emit()


def _missing(offer: Offer) -> int:
    return max(0, offer.size - offer.partial)


def _fact(offer: Offer) -> str:
    if offer.present:
        return "is there already"
    if offer.partial:
        return f"{size(_missing(offer))} of {size(offer.size)} still to download"
    return f"{size(offer.size)} download"
