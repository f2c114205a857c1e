import numpy as np
import pytest
from scipy import ndimage

from sama_core.images import LOW_RES, Frame, View, Window
from sama_core.inference.guided import LinearMatte, apply_linear, fit_guided
from sama_core.inference.upsampling import Upsampler, probability, select_alpha, sigmoid


def disk_scene(side: int):
    """A bright disk on a dark ground, and logits of a mask that knows it only on the decoder's grid."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    truth = np.hypot(y - 0.52 * side, x - 0.47 * side) < 0.3 * side
    rgb = np.where(truth[..., None], np.array([210, 180, 90]), np.array([40, 60, 80])).astype(np.uint8)
    low = Frame(side, side, 512).mask_to_low_res(truth)
    return rgb, truth, ((low - 0.5) * 8).astype(np.float32)


def test_sigmoid_does_not_overflow():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4], np.float32)), [0, 0.5, 1], atol=1e-6)


@pytest.mark.parametrize("side", [300, 1500])
def test_a_selection_follows_the_photos_edge_closer_than_the_grid_can(side):
    rgb, truth, logits = disk_scene(side)
    alpha = select_alpha(Frame(side, side, 512), logits, rgb)
    assert alpha.shape == truth.shape
    assert alpha.dtype == np.uint8
    plain = probability(Frame(side, side, 512), logits, side, side) > 0.5
    wrong, plainly_wrong = np.count_nonzero((alpha > 127) != truth), np.count_nonzero(plain != truth)
    assert wrong < 0.5 * plainly_wrong
    assert alpha[int(0.52 * side), int(0.47 * side)] == 255
    assert alpha[3, 3] == 0


def test_far_from_the_edge_a_selection_is_all_or_nothing():
    rgb, _, logits = disk_scene(600)
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)
    alpha = select_alpha(Frame(600, 600, 512), logits, noisy)
    assert set(np.unique(alpha[:60])) == {0}
    assert set(np.unique(alpha[290:330, 250:300])) == {255}


def test_an_empty_mask_gives_an_empty_selection():
    rgb = np.random.default_rng(0).integers(0, 255, (200, 320, 3)).astype(np.uint8)
    assert select_alpha(Frame(200, 320, 512), np.full((LOW_RES, LOW_RES), -9, np.float32), rgb).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (5, 3)])
def test_tiny_pictures_work(shape):
    rgb = np.full((*shape, 3), 90, np.uint8)
    alpha = select_alpha(Frame(shape[0], shape[1], 512), np.full((LOW_RES, LOW_RES), 9, np.float32), rgb)
    assert alpha.shape == shape
    assert alpha.min() == 255


def test_the_guided_filter_reproduces_a_linear_function_of_the_guide():
    rgb = np.random.default_rng(2).random((60, 80, 3)).astype(np.float32)
    mask = (rgb @ np.array([0.5, 0.3, 0.1], np.float32)) + 0.05
    fitted = fit_guided(rgb, mask, 4, 1e-7, np.ones((60, 80), bool))
    np.testing.assert_allclose((fitted.gain * rgb).sum(-1) + fitted.offset, mask, atol=1e-3)


def test_statistics_kept_of_a_picture_serve_any_mask_of_it():
    """A second mask, elsewhere and from a finer grid, is brought up as by an upsampler of its own."""
    rgb, _, logits = disk_scene(700)
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 9, rgb.shape), 0, 255).astype(np.uint8)
    finer = np.repeat(np.repeat(np.roll(logits, (60, -40), (0, 1)), 2, 0), 2, 1)
    frame, upsampler = Frame(700, 700, 512), Upsampler(noisy)
    for mask in (logits, finer, logits[::-1]):
        np.testing.assert_array_equal(upsampler.select(frame, mask), select_alpha(frame, mask, noisy))


@pytest.mark.parametrize("corner", [(0, 0), (30, 44), (50, 70)])
def test_a_fit_where_it_is_used_is_the_fit_of_the_whole(corner):
    rgb = np.random.default_rng(2).random((60, 80, 3)).astype(np.float32)
    mask = np.random.default_rng(3).random((60, 80)).astype(np.float32)
    active = np.zeros((60, 80), bool)
    active[corner[0] : corner[0] + 9, corner[1] : corner[1] + 8] = True
    part, whole = fit_guided(rgb, mask, 3, 1e-4, active), fit_guided(rgb, mask, 3, 1e-4, np.ones((60, 80), bool))
    np.testing.assert_allclose(part.gain[active], whole.gain[active], atol=1e-4)
    np.testing.assert_allclose(part.offset[active], whole.offset[active], atol=1e-4)


def test_a_matte_is_the_linear_function_where_it_holds_and_all_or_nothing_elsewhere():
    """Enlarged three times over several blocks, against the same computed pixel by pixel."""
    random = np.random.default_rng(4)
    active = np.zeros((70, 90), bool)
    active[20:50, 30:85] = True
    gain, offset = random.random((70, 90, 3)).astype(np.float32) / 3, random.random((70, 90)).astype(np.float32) / 9
    matte = LinearMatte(gain, offset, active, random.random((70, 90)) > 0.5)
    rgb = random.integers(0, 255, (210, 270, 3)).astype(np.uint8)
    alpha = apply_linear(matte, rgb)
    y, x = (np.clip((np.arange(3 * n) + 0.5) / 3 - 0.5, 0, n - 1) for n in (70, 90))
    maps = np.concatenate([gain, offset[..., None]], -1)
    wide = np.stack(
        [ndimage.map_coordinates(maps[..., i], np.meshgrid(y, x, indexing="ij"), order=1) for i in range(4)]
    )
    expected = np.clip((wide[:3] * np.moveaxis(rgb, -1, 0) / 255).sum(0) + wide[3], 0, 1) * 255
    near = np.ix_(np.rint(y).astype(int), np.rint(x).astype(int))
    here = active[near]
    assert np.abs(alpha[here] - expected[here]).max() <= 0.51
    np.testing.assert_array_equal(alpha[~here], np.where(matte.base[near], 255, 0)[~here])


@pytest.mark.parametrize("place", [(0, 0, 1500, 1200), (300, 150, 600, 720)])
def test_a_view_shows_what_the_whole_selection_shows_there(place):
    """Half as large as the final selection, which is averaged to that size."""
    rgb, _, logits = disk_scene(1500)
    noisy = np.clip(rgb[:, :1200] + np.random.default_rng(0).normal(0, 9, (1500, 1200, 3)), 0, 255).astype(np.uint8)
    window, frame = Window(*place), Frame(1500, 1200, 512)
    view = View(window, window.height // 2, window.width // 2, (1500, 1200))
    upsampler = Upsampler(noisy)
    whole = upsampler.select(frame, logits)[window.place]
    expected = whole.reshape(view.height, 2, view.width, 2).mean((1, 3))
    shown = upsampler.select(frame, logits, view=view)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 0.5
    assert np.count_nonzero((shown > 127) != (expected > 127)) < 0.001 * shown.size
