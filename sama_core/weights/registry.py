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
    from sama_core.weights.sam_checkpoint import KeyLayout

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


def _build_sam2(size: str) -> PromptableSam:
    from sama_core.model.backbones.sam2 import build_sam2

    return build_sam2(size)


def _read_safetensors(build: Build, file: WeightFile) -> Loaded:
    from sama_core.files import file_sha256
    from sama_core.weights.files import load_weights

    network = build()
    load_weights(network, file.path, file.sha256)
    return Loaded(network, file_sha256(file.path))


def _read_sam(build: Build, file: WeightFile) -> Loaded:
    from sama_core.weights.sam_checkpoint import SAM

    return _read_checkpoint(build, file, SAM)


def _read_sam2(build: Build, file: WeightFile) -> Loaded:
    from sama_core.weights.sam_checkpoint import SAM2

    return _read_checkpoint(build, file, SAM2)


def _read_checkpoint(build: Build, file: WeightFile, layout: KeyLayout) -> Loaded:
    from sama_core.weights.files import unfilled
    from sama_core.weights.sam_checkpoint import load_sam_checkpoint

    # Random weights of a ViT-H would take 2.6 GB and many seconds, only to be replaced.
    with unfilled():
        network = build()
    return Loaded(network, load_sam_checkpoint(network, *file, layout))


# Meta publishes no checksums: the file names end in the first digits of the files' MD5. The SHA-256 and sizes below
# are those that independent projects state for the same three URLs (3D Slicer's SAM extension among them).
# The mirrors are copies by others: a file of theirs counts only because its checksum is the same.
_SAM_MIRRORS = (
    "https://dl.fbaipublicfiles.com/segment_anything/",
    "https://huggingface.co/ybelkada/segment-anything/resolve/main/checkpoints/",
    "https://huggingface.co/mashb1t/misc/resolve/main/",
)


# Sizes and SHA-256 of SAM 2.1's files are those that its makers' own repositories at the second address state for tiny
# and small, and that several independent projects state for all four as they come from the first.
def _sam2_urls(size: str) -> tuple[str, ...]:
    file = f"sam2.1_hiera_{size}.pt"
    return (
        f"https://dl.fbaipublicfiles.com/segment_anything_2/092824/{file}",
        f"https://huggingface.co/facebook/sam2.1-hiera-{size.replace('_', '-')}/resolve/main/{file}",
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
            name="sam2.1_tiny",
            title="SAM 2.1 tiny",
            summary="Meta's Segment Anything 2.1 in its smallest size",
            file="sam2.1_hiera_tiny.pt",
            sha256="7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
            size=156_008_466,
            licence="Apache-2.0",
            needs="1.4 GB of memory to look at a picture",
            build=functools.partial(_build_sam2, "tiny"),
            read=_read_sam2,
            early_channels=384,
            urls=_sam2_urls("tiny"),
        ),
        ModelInfo(
            name="sam2.1_small",
            title="SAM 2.1 small",
            summary="Meta's Segment Anything 2.1 in its second size",
            file="sam2.1_hiera_small.pt",
            sha256="6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
            size=184_416_285,
            licence="Apache-2.0",
            needs="1.4 GB of memory to look at a picture",
            build=functools.partial(_build_sam2, "small"),
            read=_read_sam2,
            early_channels=384,
            urls=_sam2_urls("small"),
        ),
        ModelInfo(
            name="sam2.1_base_plus",
            title="SAM 2.1 base plus",
            summary="Meta's Segment Anything 2.1 in its third size",
            file="sam2.1_hiera_base_plus.pt",
            sha256="a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
            size=323_606_802,
            licence="Apache-2.0",
            needs="1.6 GB of memory to look at a picture, and a GPU or patience",
            build=functools.partial(_build_sam2, "base_plus"),
            read=_read_sam2,
            early_channels=448,
            urls=_sam2_urls("base_plus"),
        ),
        ModelInfo(
            name="sam2.1_large",
            title="SAM 2.1 large",
            summary="Meta's Segment Anything 2.1 in its full size",
            file="sam2.1_hiera_large.pt",
            sha256="2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
            size=898_083_611,
            licence="Apache-2.0",
            needs="2.1 GB of memory to look at a picture, and a GPU or patience",
            build=functools.partial(_build_sam2, "large"),
            read=_read_sam2,
            early_channels=576,
            urls=_sam2_urls("large"),
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
            read=_read_sam,
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
            read=_read_sam,
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
            read=_read_sam,
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
