import math
import re

import numpy as np
import pytest

from sama_core.errors import InvalidImage
from sama_core.evaluation.matting_metrics import UNKNOWN, connectedness, gradient_magnitude, matting_errors


def soft_pair(seed, shape=(14, 17)):
    """Blobs with soft edges, and a guess at them that is wrong in places."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    truth = np.clip(1.4 - np.hypot(ys - 6, xs - 5) / 4, 0, 1) + np.clip(1.2 - np.hypot(ys - 9, xs - 13) / 3, 0, 1)
    truth = np.clip(truth, 0, 1)
    guess = np.clip(truth + rng.normal(0, 0.2, shape) * (rng.random(shape) < 0.4), 0, 1)
    return np.round(guess * 255).astype(np.uint8), np.round(truth * 255).astype(np.uint8)


def slow_gradient(alpha):
    """The benchmark's gaussgradient, pixel by pixel."""
    sigma, epsilon = 1.4, 1e-2

    def gauss(x):
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    offsets = range(-half, half + 1)
    kernel = {(i, j): gauss(i) * -j * gauss(j) / sigma**2 for i in offsets for j in offsets}
    norm = math.sqrt(sum(value**2 for value in kernel.values()))
    height, width = alpha.shape
    result = np.zeros(alpha.shape)
    for y in range(height):
        for x in range(width):
            gx = gy = 0.0
            for (i, j), value in kernel.items():
                # convolution: the filter is turned about; beyond the border the nearest pixel counts
                row, column = min(max(y - i, 0), height - 1), min(max(x - j, 0), width - 1)
                gx += value / norm * alpha[row, column]
                row, column = min(max(y - j, 0), height - 1), min(max(x - i, 0), width - 1)
                gy += value / norm * alpha[row, column]
            result[y, x] = math.sqrt(gx**2 + gy**2)
    return result


def slow_largest_component(inside):
    """Flood fill over edge neighbours."""
    left, best = set(inside), set()
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            for neighbour in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if neighbour in left:
                    left.remove(neighbour)
                    edge.append(neighbour)
        best = part if len(part) > len(best) else best
    return best


def slow_connectivity(guess, truth):
    """Rhemann's connectivity error, pixel by pixel: 1 − d·(d ≥ 0.15) with d the height above the source region."""
    pixels = [(y, x) for y in range(truth.shape[0]) for x in range(truth.shape[1])]
    level = dict.fromkeys(pixels, None)
    for step in range(1, 11):
        both = {p for p in pixels if min(int(guess[p]), int(truth[p])) * 10 >= step * 255}
        source = slow_largest_component(both)
        for p in pixels:
            if level[p] is None and p not in source:
                level[p] = (step - 1) / 10
    error = 0.0
    for p in pixels:
        top = 1.0 if level[p] is None else level[p]
        phi = [1 - (d if (d := value[p] / 255 - top) >= 0.15 else 0) for value in (guess, truth)]
        error += abs(phi[0] - phi[1])
    return error / 1000


def test_known_sums_and_means():
    truth, guess = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8)
    truth[:, :10] = 255
    guess[:, :8], guess[:, 8:10], guess[:, 10:12] = 255, 102, 51
    errors = matting_errors(guess, truth)
    # 20 pixels are 0.6 short, 20 are 0.2 over
    assert errors.sad == pytest.approx((20 * 0.6 + 20 * 0.2) / 1000)
    assert errors.mad == pytest.approx((20 * 0.6 + 20 * 0.2) / 200)
    assert errors.mse == pytest.approx((20 * 0.36 + 20 * 0.04) / 200)


def test_the_right_answer_has_no_error_whatever_the_region():
    _, truth = soft_pair(0)
    region = np.zeros(truth.shape, bool)
    region[3:5] = True
    for errors in (matting_errors(truth, truth), matting_errors(truth, truth, region)):
        assert (errors.sad, errors.mse, errors.mad, errors.grad, errors.conn) == (0, 0, 0, 0, 0)


def test_gradient_agrees_with_the_benchmarks_filter_pixel_by_pixel():
    for alpha in soft_pair(1):
        assert gradient_magnitude(alpha / 255.0) == pytest.approx(slow_gradient(alpha / 255.0), abs=1e-12)


def test_gradient_error_is_the_sum_of_squared_differences_of_magnitudes():
    guess, truth = soft_pair(2)
    expected = (slow_gradient(guess / 255.0) - slow_gradient(truth / 255.0)) ** 2
    assert matting_errors(guess, truth).grad == pytest.approx(expected.sum() / 1000)
    region = np.zeros(truth.shape, bool)
    region[2:6, 4:15] = True
    assert matting_errors(guess, truth, region).grad == pytest.approx(expected[region].sum() / 1000)


def test_gradient_of_a_ramp():
    # the magnitude on a plain slope c per pixel is c·Σ g·Σ j·g'(j) of the filter, with its norm
    steps = np.arange(-4, 5)
    gauss = np.exp(-(steps**2) / (2 * 1.4**2))
    expected = 0.01 * gauss.sum() * (steps**2 * gauss).sum() / np.linalg.norm(gauss) / np.linalg.norm(steps * gauss)
    ramp = np.tile(np.arange(30) * 0.01, (30, 1))
    assert gradient_magnitude(ramp)[10:20, 10:20] == pytest.approx(expected)
    assert gradient_magnitude(ramp.T)[10:20, 10:20] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_connectivity_agrees_with_a_flood_fill(seed):
    guess, truth = soft_pair(seed)
    measured = matting_errors(guess, truth).conn
    assert measured > 0
    assert measured == pytest.approx(slow_connectivity(guess, truth))


def test_connectivity_of_an_island():
    # the truth is two opaque squares, of which the larger is the source; the guess has the smaller at 0.6 instead
    truth, guess = np.zeros((20, 40), np.uint8), np.zeros((20, 40), np.uint8)
    truth[5:15, 5:15], truth[5:10, 25:30] = 255, 255
    guess[5:15, 5:15], guess[5:10, 25:30] = 255, 153
    # cut off at every threshold, its level is 0: φ is 1 − 1 in the truth and 1 − 0.6 in the guess
    assert matting_errors(guess, truth).conn == pytest.approx(25 * 0.6 * (1 / 0.6 - 1) / 1000)


def test_connectivity_forgives_less_than_theta_and_joined_pixels():
    truth, guess = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    truth[5:15, 5:15] = 255
    guess[5:15, 5:15] = 230  # 0.902: level 0.9 in both, 0.1 above it in the truth, under θ = 0.15 in the guess
    assert matting_errors(guess, truth).conn == 0
    guess[5:15, 10:15] = 127  # 0.498: level 0.4; the truth stands 0.6 above it, the guess under θ
    assert matting_errors(guess, truth).conn == pytest.approx(50 * 0.6 / 1000)


def test_diagonal_neighbours_are_not_connected():
    alpha = np.zeros((6, 6))
    alpha[1:3, 1:3], alpha[3, 3] = 1, 1
    level = connectedness(alpha, alpha)
    assert level[1:3, 1:3].min() == 1
    assert level[3, 3] == 0


def test_the_unknown_region_alone_counts():
    guess, truth = soft_pair(5)
    trimap = np.where(truth == 255, 255, np.where(truth == 0, 0, UNKNOWN)).astype(np.uint8)
    region = trimap == UNKNOWN
    errors = matting_errors(guess, truth, region)
    difference = np.abs(guess.astype(float) - truth) / 255
    assert errors.sad == pytest.approx(difference[region].sum() / 1000)
    assert errors.mse == pytest.approx((difference[region] ** 2).sum() / region.sum())
    assert errors.mad == pytest.approx(difference[region].sum() / region.sum())
    assert errors.conn < matting_errors(guess, truth).conn


@pytest.mark.parametrize(
    ("prediction", "truth", "region", "complaint"),
    [
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8), None, "same height and width"),
        (np.zeros((4, 5), np.float32), np.zeros((4, 5), np.uint8), None, "8 bits"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8), np.zeros((4, 5), bool), "no pixel"),
    ],
)
def test_what_cannot_be_measured_is_refused(prediction, truth, region, complaint):
    with pytest.raises(InvalidImage, match=re.escape(complaint)):
        matting_errors(prediction, truth, region)
