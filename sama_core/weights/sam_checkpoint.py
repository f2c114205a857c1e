"""Meta's official SAM checkpoints (`sam_vit_*.pth`), read as they are published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sama_core.errors import WeightsError
from sama_core.weights.checksum import file_sha256

if TYPE_CHECKING:
    from sama_core.model.sam import PromptableSam

#: `segment_anything` calls the backbone `image_encoder`; every other module has the same name in both.
_THEIRS, _OURS = "image_encoder.", "backbone.image_encoder."


def load_sam_checkpoint(
    model: PromptableSam, path: Path, sha256: str = "", size: int = 0, remedy: str = "Put an official SAM file there."
) -> str:
    """Fill a ViT model with an official checkpoint.

    The tensors become the model's own as float32 on the CPU, so a model built under `torch.device("meta")` is filled
    too.

    Args:
        model: as `sam_vit.build_sam_vit` makes it.
        path: a file of `segment_anything`'s layout; read with `weights_only=True`, so nothing in it is executed.
        sha256: expected checksum of the file, hex; empty does not check.
        size: expected size in bytes; 0 does not check.
        remedy: the sentence that tells the user how to get the right file.

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
    state = _read(path, remedy)
    wanted = model.state_dict()
    try:
        for key, tensor in state.items():
            # Before the conversion: a tensor that only claims to be large would take the memory it claims.
            own = wanted.get(_rename(key))
            if own is None or own.shape != tensor.shape or tensor.layout is not torch.strided or tensor.is_meta:
                raise ValueError(f"{key} does not fit")
        model.load_state_dict({_rename(key): tensor.float() for key, tensor in state.items()}, assign=True)
    except (RuntimeError, ValueError, TypeError) as error:
        raise WeightsError(
            f"The weight file {path} is not of this model{_width_note(model, state)}. {remedy}"
        ) from error
    return digest


def _rename(key: str) -> str:
    return _OURS + key.removeprefix(_THEIRS) if key.startswith(_THEIRS) else key


def _read(path: Path, remedy: str) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes its reader stumble in many ways
        raise WeightsError(f"The weight file {path} is cut short or no SAM checkpoint. {remedy}") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"The weight file {path} is no SAM checkpoint. {remedy}")
    return state


def _width_note(model: PromptableSam, state: dict[str, torch.Tensor]) -> str:
    """Tell ViT-B, -L and -H files apart by the width of their encoder, the commonest mix-up."""
    position = state.get("image_encoder.pos_embed")
    wanted = model.backbone.early_channels
    if position is None or not position.ndim or position.shape[-1] == wanted:
        return ""
    names = {768: "ViT-B", 1024: "ViT-L", 1280: "ViT-H"}
    kinds = [names.get(width, f"{width} channels wide") for width in (position.shape[-1], wanted)]
    return f": it is {kinds[0]}, the model is {kinds[1]}"
