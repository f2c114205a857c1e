import numpy as np
import torch

from sama_core.inference.guided import fit_guided
from sama_core.model.guided_filter import guided_filter


def picture(seed: int, side: int = 96) -> torch.Tensor:
    """Smooth colours, B×3×side×side in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, side // 8, side // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)


def test_a_constant_mask_stays_itself():
    mask = torch.full((1, 1, 96, 96), 0.3)
    filtered = guided_filter(picture(0), mask, torch.ones_like(mask), 8, 1e-4)
    torch.testing.assert_close(filtered, mask, atol=1e-4, rtol=0)


def test_a_mask_that_is_a_mix_of_the_colours_stays_itself():
    guide = picture(1)
    mask = (0.2 * guide[:, :1] + 0.5 * guide[:, 1:2] - 0.1 * guide[:, 2:]) + 0.1
    filtered = guided_filter(guide, mask, torch.ones_like(mask), 8, 1e-7)
    assert (filtered - mask).abs().max() < 0.02


def test_its_coefficients_are_those_of_the_published_filter():
    """At half resolution, away from the border (where the two treat the outside differently)."""
    guide, mask = picture(2), picture(3)[:, :1]
    small_guide, small_mask = (torch.nn.functional.avg_pool2d(x, 2)[0].permute(1, 2, 0).numpy() for x in (guide, mask))
    published = fit_guided(small_guide, small_mask[..., 0], 4, 1e-3, np.ones((48, 48), bool))
    coefficients = torch.from_numpy(np.dstack([published.gain, published.offset])).permute(2, 0, 1)[None]
    gain, offset = torch.nn.functional.interpolate(coefficients, scale_factor=2, mode="bilinear").split([3, 1], dim=1)
    expected = (gain * guide).sum(1, keepdim=True) + offset
    filtered = guided_filter(guide, mask, torch.ones_like(mask), 8, 1e-3)
    inner = slice(24, 72)
    torch.testing.assert_close(filtered[..., inner, inner], expected[..., inner, inner], atol=1e-4, rtol=1e-4)


def test_a_grey_picture_is_no_trouble():
    guide = picture(4)[:, :1].expand(-1, 3, -1, -1)
    mask = (guide[:, :1] > 0.5).float()
    filtered = guided_filter(guide, mask, torch.ones_like(mask), 8, 1e-5)
    assert filtered.isfinite().all()
    assert filtered.min() > -0.5 and filtered.max() < 1.5


def test_padding_does_not_count():
    guide, mask = picture(5), picture(6)[:, :1]
    inside = torch.ones_like(mask)
    inside[..., 64:] = 0
    changed = mask.clone()
    changed[..., 64:] = 1 - changed[..., 64:]
    one, other = (guided_filter(guide, m, inside, 8, 1e-4)[..., :60] for m in (mask, changed))
    torch.testing.assert_close(one, other)
