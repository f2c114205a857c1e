"""The models by name. Importing this file is cheap: networks are built on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sama_core import paths
from sama_core.errors import SamaError

if TYPE_CHECKING:
    from sama_core.model.sam import PromptableSam

_BUNDLED = Path(__file__).parent.parent / "weights" / "bundled"


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes:
        name: as users write it.
        summary: one line for help texts.
        file: name of the weight file.
        sha256: its checksum, hex.
        size: its size in bytes.
        licence: terms of the weights.
        needs: what it takes to work, in words.
        urls: where the file can be had, its makers' own address first; empty for weights that come with the package.
    """

    name: str
    summary: str
    file: str
    sha256: str
    size: int
    licence: str
    needs: str
    urls: tuple[str, ...] = ()

    @property
    def bundled(self) -> bool:
        """Whether the weights come with the package."""
        return not self.urls

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
        if self.bundled:
            return "Run the installer again to repair it."
        return f"Fetch it with: sama weights get {self.name}."

    @property
    def _folder(self) -> Path:
        return _BUNDLED if self.bundled else paths.weights_dir()


# Meta publishes no checksums: the file names end in the first digits of the files' MD5. The SHA-256 and sizes below
# are those that independent projects state for the same three URLs (3D Slicer's SAM extension among them).
# The mirrors are copies by others: a file of theirs counts only because its checksum is the same.
_MIRRORS = (
    "https://dl.fbaipublicfiles.com/segment_anything/",
    "https://huggingface.co/ybelkada/segment-anything/resolve/main/checkpoints/",
    "https://huggingface.co/mashb1t/misc/resolve/main/",
)

MODELS = {
    model.name: model
    for model in (
        ModelInfo(
            name="lite",
            summary="EfficientNet-Lite2 with SAM's decoder; bundled, made for a CPU",
            file="lite.safetensors",
            sha256="2742e89b6a745f8acf8a9eff790ca26d6a86b875203ad8efc738a28924bfcb1c",
            size=19_268_486,
            licence="Apache-2.0",
            needs="no GPU",
        ),
        ModelInfo(
            name="vit_b",
            summary="SAM ViT-B, Meta's weights (375 MB)",
            file="sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375_042_383,
            licence="Apache-2.0",
            needs="1.4 GB of memory to look at a picture",
            urls=tuple(mirror + "sam_vit_b_01ec64.pth" for mirror in _MIRRORS),
        ),
        ModelInfo(
            name="vit_l",
            summary="SAM ViT-L, Meta's weights (1.2 GB); for a GPU",
            file="sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1_249_524_607,
            licence="Apache-2.0",
            needs="2.3 GB of memory to look at a picture, and a GPU or patience",
            urls=tuple(mirror + "sam_vit_l_0b3195.pth" for mirror in _MIRRORS),
        ),
        ModelInfo(
            name="vit_h",
            summary="SAM ViT-H, Meta's weights (2.6 GB); for a GPU",
            file="sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2_564_550_879,
            licence="Apache-2.0",
            needs="3.7 GB of memory to look at a picture, and a GPU or much patience",
            urls=tuple(mirror + "sam_vit_h_4b8939.pth" for mirror in _MIRRORS),
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
    if info(name).bundled:
        from sama_core.model.backbones.lite import LiteBackbone
        from sama_core.model.prompt_maps import PromptMaps
        from sama_core.model.prompt_mixer import PromptMixer
        from sama_core.model.sam import PromptableSam

        return PromptableSam(LiteBackbone(), PromptMaps(), PromptMixer())
    from sama_core.model.backbones.sam_vit import build_sam_vit

    return build_sam_vit(name)


class Loaded(NamedTuple):
    """A network with its weights, and the SHA-256 of the file they came from."""

    network: PromptableSam
    weights_sha256: str


def load(name: str, weights: Path | None = None) -> Loaded:
    """Build the network of a model and read its weights.

    Args:
        weights: a file to use instead of the model's own; its checksum is not checked.

    Raises:
        UnknownModel: there is none of that name.
        WeightsError: the file is missing, damaged or another model's; with how to get it.
    """
    about = info(name)
    path = weights or about.weights
    sha256 = "" if weights else about.sha256
    if about.bundled:
        from sama_core.weights.checksum import file_sha256
        from sama_core.weights.files import load_weights

        network = build(name)
        load_weights(network, path, sha256)
        return Loaded(network, file_sha256(path))
    import torch

    from sama_core.weights.sam_checkpoint import load_sam_checkpoint

    # Random weights of a ViT-H would take 2.6 GB and many seconds, only to be replaced.
    with torch.device("meta"):
        network = build(name)
    return Loaded(network, load_sam_checkpoint(network, path, sha256, 0 if weights else about.size, about.remedy))
