"""The models by name: one entry says all that is known of a model. Importing this file is cheap: networks are built on
demand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sama_core import paths
from sama_core.errors import SamaError
from sama_core.model.sama_config import LITE, SamaConfig

if TYPE_CHECKING:
    from sama_core.model.sam import PromptableSam

#: The model that answers where none is named; it comes with SAMA, so that it is always there.
DEFAULT = "lite"

_BUNDLED = Path(__file__).parent / "bundled"


class Loaded(NamedTuple):
    """A network with its weights, and the SHA-256 of the file they came from."""

    network: PromptableSam
    weights_sha256: str


class WeightFile(NamedTuple):
    """A file to read weights from.

    Attributes:
        path: of the file.
        sha256: its checksum, hex; empty does not check.
        size: its size in bytes; 0 does not check.
        remedy: the sentence that tells a user how to get the right file.
    """

    path: Path
    sha256: str
    size: int
    remedy: str


#: Builds a network with random weights.
Build = Callable[[], "PromptableSam"]
#: Builds a network and fills it from a file. Raises `WeightsError`: the file is missing, damaged or another model's.
Read = Callable[[Build, WeightFile], Loaded]


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes:
        name: as users write it.
        title: its name in a list that people choose from.
        summary: one line for help texts, and a sentence in that list.
        file: name of the weight file.
        sha256: its checksum, hex.
        size: its size in bytes.
        licence: terms of the weights.
        needs: what it takes to work, in words.
        build: builds the network with random weights.
        read: builds it and fills it from a weight file.
        early_channels: of the backbone's early features, as `Backbone.early_channels`.
        sama: architecture of its SAMA modules where no adapter file says otherwise.
        urls: where the file can be had, its makers' own address first; empty for weights that come with the package.
    """

    name: str
    title: str
    summary: str
    file: str
    sha256: str
    size: int
    licence: str
    needs: str
    build: Build
    read: Read
    early_channels: int
    sama: SamaConfig = field(default_factory=SamaConfig)
    urls: tuple[str, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether the weights come on wish: they are downloaded or taken from a file, and can be removed."""
        return bool(self.urls)

    @property
    def weights(self) -> Path:
        """The weight file."""
        return self._folder / self.file

    @property
    def adapter(self) -> Path:
        """The model's SAMA adapter file; it need not exist."""
        return self._folder / f"sama_{self.name}.safetensors"

    @property
    def remedy(self) -> str:
        """The sentence that tells a user how to get the weights."""
        if self.optional:
            return f"Fetch it with: sama weights get {self.name}."
        return "Run the installer again to repair it."

    @property
    def _folder(self) -> Path:
        return paths.weights_dir() if self.optional else _BUNDLED


def _build_lite() -> PromptableSam:
    from sama_core.model.backbones.lite import build_lite

    return build_lite()


def _build_sam_vit(name: str) -> PromptableSam:
    from sama_core.model.backbones import sam_vit

    return sam_vit.build_sam_vit(name)


def _read_safetensors(build: Build, file: WeightFile) -> Loaded:
    from sama_core.weights.checksum import file_sha256
    from sama_core.weights.files import load_weights

    network = build()
    load_weights(network, file.path, file.sha256)
    return Loaded(network, file_sha256(file.path))


def _read_sam_checkpoint(build: Build, file: WeightFile) -> Loaded:
    import torch

    from sama_core.weights.sam_checkpoint import load_sam_checkpoint

    # Random weights of a ViT-H would take 2.6 GB and many seconds, only to be replaced.
    with torch.device("meta"):
        network = build()
    return Loaded(network, load_sam_checkpoint(network, *file))


# Meta publishes no checksums: the file names end in the first digits of the files' MD5. The SHA-256 and sizes below
# are those that independent projects state for the same three URLs (3D Slicer's SAM extension among them).
# The mirrors are copies by others: a file of theirs counts only because its checksum is the same.
_SAM_MIRRORS = (
    "https://dl.fbaipublicfiles.com/segment_anything/",
    "https://huggingface.co/ybelkada/segment-anything/resolve/main/checkpoints/",
    "https://huggingface.co/mashb1t/misc/resolve/main/",
)

MODELS = {
    model.name: model
    for model in (
        ModelInfo(
            name="lite",
            title="Lite, the one that comes with SAMA",
            summary="Small and quick, and all you need to begin",
            file="lite.safetensors",
            sha256="2742e89b6a745f8acf8a9eff790ca26d6a86b875203ad8efc738a28924bfcb1c",
            size=19_268_486,
            licence="Apache-2.0",
            needs="no GPU",
            build=_build_lite,
            read=_read_safetensors,
            early_channels=48,
            sama=LITE,
        ),
        ModelInfo(
            name="vit_b",
            title="SAM ViT-B",
            summary="Meta's Segment Anything in its small size",
            file="sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375_042_383,
            licence="Apache-2.0",
            needs="1.4 GB of memory to look at a picture",
            build=functools.partial(_build_sam_vit, "vit_b"),
            read=_read_sam_checkpoint,
            early_channels=768,
            urls=tuple(mirror + "sam_vit_b_01ec64.pth" for mirror in _SAM_MIRRORS),
        ),
        ModelInfo(
            name="vit_l",
            title="SAM ViT-L",
            summary="Meta's Segment Anything in its middle size",
            file="sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1_249_524_607,
            licence="Apache-2.0",
            needs="2.3 GB of memory to look at a picture, and a GPU or patience",
            build=functools.partial(_build_sam_vit, "vit_l"),
            read=_read_sam_checkpoint,
            early_channels=1024,
            urls=tuple(mirror + "sam_vit_l_0b3195.pth" for mirror in _SAM_MIRRORS),
        ),
        ModelInfo(
            name="vit_h",
            title="SAM ViT-H",
            summary="Meta's Segment Anything in its full size",
            file="sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2_564_550_879,
            licence="Apache-2.0",
            needs="3.7 GB of memory to look at a picture, and a GPU or much patience",
            build=functools.partial(_build_sam_vit, "vit_h"),
            read=_read_sam_checkpoint,
            early_channels=1280,
            urls=tuple(mirror + "sam_vit_h_4b8939.pth" for mirror in _SAM_MIRRORS),
        ),
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
    """Build the network of a model with random weights.

    Raises:
        UnknownModel: there is none of that name.
    """
    return info(name).build()


def load(name: str, weights: Path | None = None) -> Loaded:
    """Build the network of a model and read its weights.

    Args:
        weights: a file to use instead of the model's own; its checksum is not checked.

    Raises:
        UnknownModel: there is none of that name.
        WeightsError: the file is missing, damaged or another model's; with how to get it.
    """
    about = info(name)
    if weights is not None:
        return about.read(about.build, WeightFile(weights, "", 0, about.remedy))
    return about.read(about.build, WeightFile(about.weights, about.sha256, about.size, about.remedy))
