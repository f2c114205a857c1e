import numpy as np
import pytest

from sama_core.images import LOW_RES, Frame
from sama_core.inference.foreground import decontaminate
from sama_core.inference.matting import MAX_UNKNOWN, closed_form, matte_alpha, unknown_band
from sama_core.inference.tiles import tiles_over


def soft_disk(side: int, softness: float):
    """A soft disk composited on a plain ground: the colour line makes alpha exact for closed-form matting."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    alpha = np.clip(0.5 + (0.3 * side - np.hypot(y - side / 2, x - side / 2)) / softness, 0, 1)
    front, back = np.array([220, 160, 60]), np.array([30, 70, 120])
    rgb = np.rint(alpha[..., None] * front + (1 - alpha[..., None]) * back).astype(np.uint8)
    return rgb, alpha.astype(np.float32), front


def test_closed_form_recovers_a_soft_rim():
    rgb, alpha, _ = soft_disk(200, 14)
    mask = (alpha > 0.5).astype(np.float32)
    found = closed_form(rgb, mask, unknown_band(mask, 14))
    assert np.abs(found - alpha).mean() < 0.004
    assert np.abs(found - mask).mean() > 4 * np.abs(found - alpha).mean(), "the hard mask would not pass"


def test_tiles_leave_no_seam(monkeypatch):
    rgb, alpha, _ = soft_disk(300, 16)
    mask = (alpha > 0.5).astype(np.float32)
    unknown = unknown_band(mask, 16)
    whole = closed_form(rgb, mask, unknown)
    monkeypatch.setattr("sama_core.inference.matting._TILE", 90)
    tiled = closed_form(rgb, mask, unknown)
    assert np.abs(tiled - whole).max() < 0.05


def test_outside_the_band_alpha_is_the_masks_own():
    rgb, alpha, _ = soft_disk(160, 10)
    mask = (alpha > 0.5).astype(np.float32)
    unknown = unknown_band(mask, 10)
    found = closed_form(rgb, mask, unknown)
    np.testing.assert_array_equal(found[~unknown], mask[~unknown])


def test_a_large_photo_is_matted_in_a_bounded_band(monkeypatch):
    solved = []

    def spy(rgb, mask, unknown, progress=None):
        solved.append(int(unknown.sum()))
        return mask

    monkeypatch.setattr("sama_core.inference.matting.closed_form", spy)
    side = 3000
    rgb, alpha, _ = soft_disk(side, 40)
    logits = ((Frame(side, side, 512).mask_to_low_res(alpha > 0.5) - 0.5) * 10).astype(np.float32)
    matte_alpha(Frame(side, side, 512), logits, rgb)
    assert len(solved) == 1
    assert solved[0] <= 1.3 * MAX_UNKNOWN


def test_a_matte_of_a_photo_has_its_size_and_its_softness():
    side = 420
    rgb, alpha, _ = soft_disk(side, 18)
    logits = ((Frame(side, side, 512).mask_to_low_res(alpha > 0.5) - 0.5) * 10).astype(np.float32)
    found = matte_alpha(Frame(side, side, 512), logits, rgb)
    assert found.dtype == np.uint8
    assert np.abs(found / 255 - alpha).mean() < 0.01
    partial = (found > 12) & (found < 243)
    assert partial.mean() > 0.5 * ((alpha > 0.05) & (alpha < 0.95)).mean()


@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_all_or_nothing_needs_no_matting(value):
    rgb = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    found = matte_alpha(Frame(90, 120, 512), np.full((LOW_RES, LOW_RES), value, np.float32), rgb)
    assert set(np.unique(found)) == {255 if value > 0 else 0}


def test_the_ground_does_not_come_along():
    rgb, alpha, front = soft_disk(160, 20)
    colours = decontaminate(rgb, np.rint(alpha * 255).astype(np.uint8))
    rim = (alpha > 0.3) & (alpha < 0.9)
    before = np.abs(rgb[rim].astype(int) - front).mean()
    after = np.abs(colours[rim].astype(int) - front).mean()
    assert after < 0.25 * before
    solid = np.rint(alpha * 255) == 255
    np.testing.assert_array_equal(colours[solid], rgb[solid])


@pytest.mark.parametrize("shape", [(1, 1), (100, 250), (512, 512), (700, 1300)])
def test_tiles_cover_every_pixel_once(shape):
    count = np.zeros(shape, int)
    for tile in tiles_over(shape, 256, 32):
        count[tile.inner] += 1
        ramp = tile.ramp()
        assert ramp.shape == tuple(s.stop - s.start for s in tile.outer)
        assert (ramp[tile.own()] == 1).all()
        assert (ramp > 0).all()
    assert (count == 1).all()
