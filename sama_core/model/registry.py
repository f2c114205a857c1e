"""The models by name. Importing this file is cheap: networks are built on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sama_core.errors import SamaError

if TYPE_CHECKING:
    from sama_core.model.sam import PromptableSam

_FILES = Path(__file__).parent.parent / "weights" / "bundled"


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes:
        name: as users write it.
        summary: one line for help texts.
        weights: the weight file.
        sha256: its checksum, hex.
        licence: terms of the weights.
    """

    name: str
    summary: str
    weights: Path
    sha256: str
    licence: str


MODELS = {
    "lite": ModelInfo(
        name="lite",
        summary="EfficientNet-Lite0 with SAM's decoder; bundled, made for a CPU",
        weights=_FILES / "lite.safetensors",
        sha256="4947907f156963eedd12de580c32287dc30eb8733d95397ae1f41d6c4b850b6c",
        licence="Apache-2.0",
    )
}


class UnknownModel(SamaError):
    """No model of that name."""

    code = "unknown_model"
    status = 422


def info(name: str) -> ModelInfo:
    """Look a model up.

    Raises:
        UnknownModel: there is none of that name.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise UnknownModel(f"There is no model named “{name}”. Choose one of: {', '.join(MODELS)}.") from None


def build(name: str) -> PromptableSam:
    """Build the network of a model with random weights."""
    info(name)
    from sama_core.model.backbones.lite import LiteBackbone
    from sama_core.model.prompt_maps import PromptMaps
    from sama_core.model.sam import PromptableSam

    return PromptableSam(LiteBackbone(), PromptMaps())
