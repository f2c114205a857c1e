"""Meta's official checkpoints, `sam_vit_*.pth` and `sam2.1_hiera_*.pt`, read as they are published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sama_core.errors import WeightsError
from sama_core.files import file_sha256

if TYPE_CHECKING:
    from sama_core.model.sam import PromptableSam


@dataclass(frozen=True)
class KeyLayout:
    """How a family's files are laid out.

    Attributes:
        entry: under which key the state dict is; empty where the file is the state dict.
        rename: our name of a tensor by theirs; None for what a picture does not need.
        size_of: tells the sizes of a family apart by a state dict with our names, or says nothing.
    """

    entry: str
    rename: Callable[[str], str | None]
    size_of: Callable[[dict[str, torch.Tensor]], str]


def _rename_sam(key: str) -> str:
    """`segment_anything` calls the backbone `image_encoder`; every other module has the same name in both."""
    return f"backbone.{key}" if key.startswith("image_encoder.") else key


def _size_of_sam(state: dict[str, torch.Tensor]) -> str:
    position = state.get("backbone.image_encoder.pos_embed")
    if position is None or not position.ndim:
        return ""
    names = {768: "ViT-B", 1024: "ViT-L", 1280: "ViT-H"}
    return names.get(position.shape[-1], f"{position.shape[-1]} channels wide")


#: What follows an object through a video.
_SAM2_MEMORY = (
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
)
_SAM2_MODULES = {
    "image_encoder.trunk.": "backbone.trunk.",
    "image_encoder.neck.convs.": "backbone.neck.",
    "no_mem_embed": "backbone.no_mem_embed",
    "sam_prompt_encoder.": "prompt_encoder.",
    "sam_mask_decoder.": "mask_decoder.",
}


def _rename_sam2(key: str) -> str | None:
    if key.startswith(_SAM2_MEMORY):
        return None
    for theirs, ours in _SAM2_MODULES.items():
        if key.startswith(theirs):
            key = ours + key.removeprefix(theirs)
            break
    key = key.replace(".conv.", ".")
    # feed-forward layers, which timm and segment_anything name each in its own way
    first, second = ("fc1", "fc2") if key.startswith("backbone.trunk.") else ("lin1", "lin2")
    return key.replace(".mlp.layers.0.", f".mlp.{first}.").replace(".mlp.layers.1.", f".mlp.{second}.")


def _size_of_sam2(state: dict[str, torch.Tensor]) -> str:
    patches = state.get("backbone.trunk.patch_embed.proj.bias")
    if patches is None or not patches.ndim:
        return ""
    depth = sum(key.startswith("backbone.trunk.blocks.") and key.endswith(".norm1.bias") for key in state)
    names = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base_plus", (144, 48): "large"}
    return names.get((len(patches), depth), f"{len(patches)} channels wide and {depth} blocks deep")


SAM = KeyLayout("", _rename_sam, _size_of_sam)
SAM2 = KeyLayout("model", _rename_sam2, _size_of_sam2)


def load_sam_checkpoint(
    model: PromptableSam,
    path: Path,
    sha256: str = "",
    size: int = 0,
    remedy: str = "Put an official SAM file there.",
    layout: KeyLayout = SAM,
) -> str:
    """Fill a model with an official checkpoint.

    The tensors become the model's own as float32 on the CPU, so a model built under `torch.device("meta")` is filled
    too.

    Args:
        model: as `sam_vit.build_sam_vit` or `sam2.build_sam2` makes it.
        path: a file of the makers' layout; read with `weights_only=True`, so nothing in it is executed.
        sha256: expected checksum of the file, hex; empty does not check.
        size: expected size in bytes; 0 does not check.
        remedy: the sentence that tells the user how to get the right file.
        layout: of the model's family.

    Returns:
        The file's SHA-256, hex.

    Raises:
        WeightsError: the file is missing, cut short, altered, no checkpoint, or another model's.
    """
    if not path.is_file():
        raise WeightsError(f"The weight file {path.name} is not in {path.parent}. {remedy}")
    found = path.stat().st_size
    if size and found != size:
        raise WeightsError(f"The weight file {path} has {found} bytes and should have {size}. {remedy}")
    digest = file_sha256(path)
    if sha256 and digest != sha256:
        raise WeightsError(f"The weight file {path} is damaged: its checksum is wrong. {remedy}")
    state = _read(path, layout, remedy)
    wanted = model.state_dict()
    try:
        for name, tensor in state.items():
            # Before the conversion: a tensor that only claims to be large would take the memory it claims.
            own = wanted.get(name)
            if own is None or own.shape != tensor.shape or tensor.layout is not torch.strided or tensor.is_meta:
                raise ValueError(f"{name} does not fit")
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except (RuntimeError, ValueError, TypeError) as error:
        kinds = layout.size_of(state), layout.size_of(wanted)
        note = f": it is {kinds[0]}, the model is {kinds[1]}" if kinds[0] and kinds[0] != kinds[1] else ""
        raise WeightsError(f"The weight file {path} is not of this model{note}. {remedy}") from error
    return digest


def _read(path: Path, layout: KeyLayout, remedy: str) -> dict[str, torch.Tensor]:
    """The tensors of a file that a picture needs, by our names."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes its reader stumble in many ways
        raise WeightsError(f"The weight file {path} is cut short or no SAM checkpoint. {remedy}") from error
    if layout.entry and isinstance(state, dict):
        state = state.get(layout.entry)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"The weight file {path} is no SAM checkpoint. {remedy}")
    renamed = {layout.rename(key): value for key, value in state.items()}
    return {name: value for name, value in renamed.items() if name is not None}
