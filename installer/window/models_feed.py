"""The models as the engine's own command tells of them: `sama weights … --json`."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from installer.checkout import package
from installer.events import Progress
from installer.models import json_object
from installer.window.pages.models import Offer
from installer.window.process import Child

_TITLES = {
    "lite": "Lite, the one that comes with SAMA",
    "vit_b": "SAM ViT-B",
    "vit_l": "SAM ViT-L",
    "vit_h": "SAM ViT-H",
}
_ABOUT = {
    "lite": "Small and quick, and all you need to begin.",
    "vit_b": "Meta's Segment Anything in its small size.",
    "vit_l": "Meta's Segment Anything in its middle size.",
    "vit_h": "Meta's Segment Anything in its full size.",
}


class ModelList(QObject):
    """Asks which models there are.

    Attributes:
        listed: the answer; empty when there is none.
    """

    listed = Signal(list)

    def __init__(self, command: list[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text: list[str] = []
        # Straight from what the engine is installed from, be it a wheel: at first there is no engine yet.
        self._child = Child(command, {"PYTHONPATH": str(package())}, self)
        self._child.line.connect(self._text.append)
        self._child.ended.connect(lambda status: self.listed.emit(offers("\n".join(self._text))))

    def start(self) -> None:
        """Ask."""
        self._child.start()


class ModelFetch(QObject):
    """Downloads a model, or takes it from a file.

    Attributes:
        progress: how far it is.
        said: a line for the log.
        finished: whether it is there now, and what was said if not.
    """

    progress = Signal(Progress)
    said = Signal(str)
    finished = Signal(bool, str)

    def __init__(self, command: list[str], step: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._step = step
        self._message = ""
        self._child = Child(command, parent=self)
        self._child.line.connect(self._line)
        self._child.complaint.connect(self._complaint)
        self._child.ended.connect(lambda status: self.finished.emit(status == 0, self._message))

    def start(self) -> None:
        """Start it."""
        self._child.start()

    def stop(self) -> None:
        """End it; what has come so far is kept for the next time."""
        self._child.interrupt()

    def _line(self, line: str) -> None:
        data = json_object(line)
        if "done" in data:
            self.progress.emit(Progress(self._step, int(data["done"]), int(data["total"]), str(data.get("text", ""))))

    def _complaint(self, line: str) -> None:
        self.said.emit(line)
        if line.strip():
            self._message = line.strip().removeprefix("sama: ")


def offers(text: str) -> list[Offer]:
    """The models in the answer to `sama weights list --json`."""
    models = json_object(text).get("models", [])
    return [_offer(model) for model in models]


def _offer(model: dict[str, Any]) -> Offer:
    name = str(model["name"])
    needs = str(model["needs"]).replace("GPU", "graphics card")
    return Offer(
        name=name,
        title=_TITLES.get(name, name),
        about=f"{_ABOUT.get(name, str(model['summary']) + '.')} Needs {needs}.",
        size=int(model["size"]),
        licence=str(model["licence"]),
        # What comes with the engine is not there before the engine is.
        present=bool(model["present"] or model["bundled"]),
        partial=int(model.get("partial", 0)),
    )
