import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from sama_core.training.sama_losses import (
    bce_loss,
    gradient_loss,
    iou_loss,
    l1_loss,
    laplacian_loss,
    matting_loss,
    segmentation_loss,
    ssim_loss,
)

ALL = (bce_loss, iou_loss, ssim_loss, l1_loss, gradient_loss, laplacian_loss)


def random_maps(seed, shape=(2, 1, 40, 48)):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(shape, generator=generator, dtype=torch.float64),
        torch.rand(shape, generator=generator, dtype=torch.float64),
        torch.ones(shape, dtype=torch.bool),
    )


def holed(shape):
    """Valid but for padding right and below and a void in the middle."""
    valid = torch.ones(shape, dtype=torch.bool)
    valid[..., -7:, :] = False
    valid[..., -9:] = False
    valid[..., 10:16, 12:20] = False
    return valid


def per_picture(reference, prediction, target):
    pairs = zip(prediction[:, 0].numpy(), target[:, 0].numpy(), strict=True)
    return float(np.mean([reference(p, y) for p, y in pairs]))


def test_bce_of_known_probabilities():
    p = torch.tensor([0.5, 0.9, 0.2, 0.7]).reshape(1, 1, 2, 2)
    y = torch.tensor([1.0, 1.0, 0.0, 0.5]).reshape(1, 1, 2, 2)
    expected = -(math.log(0.5) + math.log(0.9) + math.log(0.8) + 0.5 * math.log(0.7) + 0.5 * math.log(0.3)) / 4
    assert bce_loss(torch.logit(p), y, torch.ones_like(y)).item() == pytest.approx(expected, rel=1e-5)


def test_iou_of_known_squares():
    p, y = torch.zeros(2, 1, 10, 10), torch.zeros(2, 1, 10, 10)
    p[0, 0, :4, :4] = 1
    y[0, 0, :4, 2:6] = 1  # 8 of 24 pixels in common; the second picture is empty in both, and right
    assert iou_loss(p, y, torch.ones_like(p)).item() == pytest.approx((1 - 9 / 25) / 2)


def test_ssim_agrees_with_scikit_image():
    prediction, target, valid = random_maps(1)

    def reference(p, y):
        # scikit-image mirrors at the border; two windows' width of zeros puts that out of reach
        ssim = structural_similarity(
            np.pad(p, 11), np.pad(y, 11), gaussian_weights=True, use_sample_covariance=False, data_range=1, full=True
        )[1]
        return 1 - ssim[11:-11, 11:-11].mean()

    assert ssim_loss(prediction, target, valid).item() == pytest.approx(per_picture(reference, prediction, target))


def test_ssim_of_one_pixel_among_zeros():
    # the window has the weight w = (g0/Σg)² on the only pixel: μx = w·a, σx² = w·a² − μx², likewise y and σxy
    a, b = 0.2, 0.6
    weights = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    w = (1 / weights.sum()) ** 2
    x, y, xy = w * a, w * b, w * a * b
    ssim = (2 * x * y + 1e-4) * (2 * (xy - x * y) + 9e-4)
    ssim /= (x**2 + y**2 + 1e-4) * (w * a**2 - x**2 + w * b**2 - y**2 + 9e-4)
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    assert ssim_loss(a * one, b * one, one).item() == pytest.approx(1 - ssim)
    assert ssim_loss(a * one, a * one, one).item() == 0


def test_l1_of_known_alphas():
    p, y, valid = torch.full((1, 1, 4, 4), 0.25), torch.full((1, 1, 4, 4), 0.75), torch.ones(1, 1, 4, 4)
    y[..., 0, :] = 0.25
    assert l1_loss(p, y, valid).item() == pytest.approx(0.5 * 12 / 16)


def test_gradient_agrees_with_scipy():
    prediction, target, valid = random_maps(2)

    def sobel(x, axis):
        return ndimage.sobel(x, axis, mode="constant")

    def reference(p, y):
        return sum(
            np.abs(sobel(p, axis) - sobel(y, axis)).mean() + 0.01 * np.abs(sobel(p, axis)).mean() for axis in (0, 1)
        )

    assert gradient_loss(prediction, target, valid).item() == pytest.approx(per_picture(reference, prediction, target))


def test_gradient_of_one_bright_pixel():
    # around a pixel of height 1 Sobel gives ±1 ±2 ±1 twice in each direction: Σ|∂x| = Σ|∂y| = 8
    p = torch.zeros(1, 1, 5, 5)
    p[..., 2, 2] = 1
    flat, every = torch.zeros_like(p), torch.ones_like(p)
    assert gradient_loss(p, flat, every).item() == pytest.approx(16 / 25 * 1.01)
    assert gradient_loss(flat, p, every).item() == pytest.approx(16 / 25)
    assert gradient_loss(p, p, every).item() == pytest.approx(16 / 25 * 0.01)


@pytest.mark.parametrize("shape", [(2, 1, 64, 96), (1, 1, 45, 37)])
def test_laplacian_agrees_with_a_pyramid_of_each_picture_in_scipy(shape):
    prediction, target, valid = random_maps(3, shape)
    kernel = np.array([1, 4, 6, 4, 1]) / 16

    def blur(x, scale=1.0):
        for axis in (0, 1):
            x = ndimage.correlate1d(x, kernel * scale, axis, mode="mirror")
        return x

    def pyramid(x):
        levels = []
        for _ in range(5):
            smaller = blur(x)[::2, ::2]
            spread = np.zeros_like(x)
            spread[::2, ::2] = smaller
            levels.append(x - blur(spread, 2))
            x = smaller
        return levels

    def reference(p, y):
        levels = zip(pyramid(p), pyramid(y), strict=True)
        return sum(2**i * np.abs(a - b).mean() for i, (a, b) in enumerate(levels)) / 5

    measured = laplacian_loss(prediction, target, valid).item()
    assert measured == pytest.approx(per_picture(reference, prediction, target))


def test_laplacian_does_not_see_a_constant_difference_and_needs_room_for_its_levels():
    prediction, _, valid = random_maps(4)
    assert laplacian_loss(prediction, prediction + 0.3, valid).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="32 is under 33"):
        laplacian_loss(*(torch.zeros(1, 1, 32, 64),) * 3)


@pytest.mark.parametrize("loss", ALL)
def test_pixels_that_are_not_valid_reach_neither_value_nor_gradient(loss):
    prediction, target, _ = random_maps(5)
    valid = holed(prediction.shape)
    other_prediction, other_target, _ = random_maps(6)
    changed = torch.where(valid, prediction, other_prediction).requires_grad_()
    changed_target = torch.where(valid, target, other_target)
    value = loss(changed, changed_target, valid)
    assert value.item() == loss(prediction, target, valid).item()
    (gradient,) = torch.autograd.grad(value, changed)
    assert torch.count_nonzero(gradient[~valid]) == 0
    assert torch.count_nonzero(gradient[valid]) > 0.9 * valid.sum()
    nothing = torch.where(valid, changed_target, torch.nan)
    assert loss(torch.where(valid, prediction, torch.nan), nothing, valid).item() == value.item()


@pytest.mark.parametrize("loss", [bce_loss, iou_loss, ssim_loss, l1_loss, gradient_loss])
def test_padding_changes_nothing(loss):
    """A padded picture costs what the picture alone costs. (The Laplacian mirrors the border it can see.)"""
    prediction, target, valid = random_maps(7)
    padded = [torch.nn.functional.pad(x.double(), (0, 16, 0, 9)) for x in (prediction, target, valid)]
    assert loss(*padded).item() == pytest.approx(loss(prediction, target, valid).item())


@pytest.mark.parametrize("loss", ALL)
def test_pictures_count_alike_whatever_they_show(loss):
    prediction, target, _ = random_maps(8)
    valid = torch.stack([torch.ones(1, 40, 48, dtype=torch.bool), holed((1, 40, 48))])
    alone = [loss(prediction[i : i + 1], target[i : i + 1], valid[i : i + 1]).item() for i in range(2)]
    assert loss(prediction, target, valid).item() == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("loss", ALL)
def test_gradients_are_those_of_the_value(loss):
    prediction, target, _ = random_maps(9, (1, 1, 33, 34))
    assert torch.autograd.gradcheck(
        lambda p: loss(p, target, holed(p.shape)), prediction.requires_grad_(), fast_mode=True
    )


@pytest.mark.parametrize("loss", ALL)
def test_autocast_does_not_lower_the_precision(loss):
    prediction, target, valid = (x.float() for x in random_maps(10))
    expected = loss(prediction, target, valid)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(prediction, target, valid), expected)
        assert loss(prediction.bfloat16(), target, valid).dtype == torch.float32


def test_a_picture_without_a_valid_pixel_costs_nothing_and_teaches_nothing():
    logits = torch.randn(1, 1, 40, 40, requires_grad=True)
    nothing = torch.zeros(1, 1, 40, 40)
    for terms in (segmentation_loss(logits, nothing + 1, nothing), matting_loss(logits, nothing + 1, nothing)):
        total = torch.stack(list(terms.values())).sum()
        (gradient,) = torch.autograd.grad(total, logits)
        assert total.item() == 0
        assert torch.count_nonzero(gradient) == 0


def test_the_two_tasks_are_made_of_their_terms():
    prediction, target, _ = random_maps(11)
    logits, valid = torch.logit(prediction), holed(prediction.shape)
    segmentation, matting = segmentation_loss(logits, target, valid), matting_loss(logits, target, valid)
    assert {name: value.item() for name, value in segmentation.items()} == pytest.approx(
        {
            "bce": bce_loss(logits, target, valid).item(),
            "iou": iou_loss(prediction, target, valid).item(),
            "ssim": ssim_loss(prediction, target, valid).item(),
        }
    )
    assert {name: value.item() for name, value in matting.items()} == pytest.approx(
        {
            "l1": l1_loss(prediction, target, valid).item(),
            "ssim": ssim_loss(prediction, target, valid).item(),
            "gradient": gradient_loss(prediction, target, valid).item(),
            "laplacian": laplacian_loss(prediction, target, valid).item(),
        }
    )


def test_maps_of_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="alike"):
        bce_loss(torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8), torch.zeros(2, 1, 8, 8))
