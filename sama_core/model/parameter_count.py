"""How many parameters a model's parts have; built under `torch.device("meta")`, they cost nothing to count."""

from __future__ import annotations

import torch
from torch import nn

from sama_core.model.sam import PromptableSam
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import SamaConfig


def count_sam(model: PromptableSam) -> dict[str, int]:
    """Parameters of a SAM by part; prompt maps and prompt mixer are the bundled model's own additions."""
    parts = {
        "image encoder": model.backbone,
        "prompt encoder": model.prompt_encoder,
        "mask decoder": model.mask_decoder,
        "prompt maps": model.prompt_maps,
        "prompt mixer": model.mixer,
    }
    return {part: _count(module) for part, module in parts.items() if isinstance(module, nn.Module)}


def count_sama(config: SamaConfig, early_channels: int) -> dict[str, int]:
    """Parameters that SAMA adds to a SAM with such early features, by module; the parts add up to all of them."""
    with torch.device("meta"):
        modules = SamaModules(config, early_channels)
    parts = {}
    if modules.mvle is not None:
        parts["MVLE"] = _count(modules.mvle)
    if modules.early is not None:
        parts["early features"] = _count(modules.early)
    for number, adapter in enumerate(modules.adapters, start=1):
        parts[f"Local-Adapter {number}"] = _count(adapter)
    parts["tokens"] = _count(modules.tokens)
    for task, head in modules.heads.items():
        parts[f"{task} head"] = _count(head)
    if modules.detail is not None:
        parts["detail branch"] = _count(modules.detail)
    parts["norms, projections"] = _count(modules) - sum(parts.values())
    return parts


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
