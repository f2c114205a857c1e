"""EfficientNet-Lite2 (Tan & Le 2019, the variant without squeeze-excite and swish) as a pyramid of feature maps.

State-dict keys are those of timm's `tf_efficientnet_lite2`, whose output this equals; timm itself takes longer to
import than a click takes to answer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: Of TensorFlow's batch normalisation, as the ImageNet weights were trained.
_EPSILON = 1e-3
_STEM = 32
#: Of each stage: blocks, width, kernel, stride of its first block, expansion.
_STAGES = (
    (1, 16, 3, 1, 1),
    (3, 24, 3, 2, 6),
    (3, 48, 5, 2, 6),
    (4, 88, 3, 2, 6),
    (4, 120, 5, 1, 6),
    (5, 208, 5, 2, 6),
    (1, 352, 3, 1, 6),
)
#: Stages whose output is given: the last ones at strides 8, 16 and 32.
_GIVEN = (2, 4, 6)


class EfficientNetLite2(nn.Module):
    """The network without its classifier.

    Attributes:
        channels: of the three maps that it gives.
    """

    channels = tuple(_STAGES[stage][1] for stage in _GIVEN)

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _Conv2dSame(3, _STEM, 3, 2)
        self.bn1 = nn.BatchNorm2d(_STEM, _EPSILON)
        stages, width = [], _STEM
        for count, wider, kernel, stride, expansion in _STAGES:
            blocks = []
            for number in range(count):
                step = stride if number == 0 else 1
                if expansion == 1:
                    blocks.append(_DepthwiseSeparable(width, wider, kernel, step))
                else:
                    blocks.append(_InvertedResidual(width, wider, kernel, step, expansion))
                width = wider
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Encode B×3×H×W to maps of 48, 120 and 352 channels at strides 8, 16 and 32."""
        x = F.relu6(self.bn1(self.conv_stem(x)), inplace=True)
        maps = []
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in _GIVEN:
                maps.append(x)
        return maps


class _Conv2dSame(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's “same”: where that is uneven, more at the right and bottom."""

    def __init__(self, channels: int, wider: int, kernel: int, stride: int, groups: int = 1) -> None:
        # at stride 1 the padding is even, and the convolution's own
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(channels, wider, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            rows, columns = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[-2:])
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(x)


class _DepthwiseSeparable(nn.Module):
    def __init__(self, channels: int, wider: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _Conv2dSame(channels, channels, kernel, stride, channels)
        self.bn1 = nn.BatchNorm2d(channels, _EPSILON)
        self.conv_pw = nn.Conv2d(channels, wider, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider, _EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)), inplace=True)))


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, wider: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self._shortcut = stride == 1 and channels == wider
        self.conv_pw = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, _EPSILON)
        self.conv_dw = _Conv2dSame(inner, inner, kernel, stride, inner)
        self.bn2 = nn.BatchNorm2d(inner, _EPSILON)
        self.conv_pwl = nn.Conv2d(inner, wider, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wider, _EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = F.relu6(self.bn1(self.conv_pw(x)), inplace=True)
        inner = F.relu6(self.bn2(self.conv_dw(inner)), inplace=True)
        result = self.bn3(self.conv_pwl(inner))
        return result + x if self._shortcut else result
