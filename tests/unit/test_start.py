"""What an engine imports before its first answer, and that what it leaves out is not missed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from sama_core.model.backbones.efficientnet_lite import EfficientNetLite2
from sama_core.model.mask_decoder import MaskDecoder
from sama_core.weights.files import unfilled

FIRST_ANSWER = """
import sys
import numpy as np
from sama_core import Engine, Prompt
from sama_core.inference.embedding_cache import EmbeddingCache
engine = Engine("lite", "cpu", EmbeddingCache(None))
engine.set_image(np.full((64, 96, 3), 120, np.uint8))
engine.select(Prompt([(40.5, 30.5)], [1]))
slow = {"torchvision", "timm", "torch._dynamo", "sympy", "numba", "pymatting"}
print(sorted(slow & set(sys.modules)))
import segment_anything
from sama_core.model import stock_sam
print(segment_anything.SamPredictor.__name__, segment_anything.modeling.MaskDecoder is stock_sam.MaskDecoder)
"""


def test_a_first_answer_imports_nothing_that_is_slow_and_not_needed():
    told = subprocess.run([sys.executable, "-c", FIRST_ANSWER], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["[]", "SamPredictor True"]


def test_the_decoder_is_the_packages_own_also_where_the_package_came_first():
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import segment_anything as whole, sama_core.model.stock_sam as ours\n"
            "print(whole.modeling.MaskDecoder is ours.MaskDecoder)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told == "True\n"
    assert MaskDecoder.__mro__[1].__module__ == "segment_anything.modeling.mask_decoder"


@pytest.mark.parametrize("size", [(128, 128), (97, 130), (512, 512)])
@pytest.mark.parametrize("training", [False, True])
def test_the_body_of_lite_equals_timms(size, training):
    import timm

    torch.manual_seed(3)
    theirs = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(2, 3, 4), pretrained=False)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    ours = EfficientNetLite2()
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.randn(2, 3, *size)
    for mine, their in zip(ours.train(training)(pictures), theirs.train(training)(pictures), strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-5)
    assert tuple(theirs.feature_info.channels()) == EfficientNetLite2.channels  # type: ignore[operator, union-attr]


def test_a_network_built_without_numbers_is_one_in_all_else():
    with unfilled():
        layer = torch.nn.Linear(3, 5).requires_grad_(False)
        bias = torch.nn.init.constant_(torch.nn.Parameter(torch.empty(4)), 2)
    assert layer.weight.is_meta and bias.is_meta and not layer.weight.requires_grad
    assert layer.weight.shape == (5, 3) and bias.shape == (4,)
    assert torch.zeros(2).fill_(3).sum() == 6 and not torch.nn.Linear(2, 2).weight.is_meta
