import math

import numpy as np
import pytest

from sama_core.errors import InvalidImage
from sama_core.evaluation.saliency import measure, summarise


def scene(seed=0, shape=(20, 24)):
    """A disk as truth and a blurred, noisy answer that uses neither 0 nor 255."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    far = np.hypot(ys - 9, xs - 13)
    answer = np.clip(255 / (1 + np.exp(far - 6)) + rng.normal(0, 20, shape), 10, 240)
    return answer.astype(np.uint8), far < 6


def normalised(answer):
    return (answer / 255.0 - answer.min() / 255.0) / (answer.max() / 255.0 - answer.min() / 255.0)


def test_f_curve_by_counting_pixels_at_every_threshold():
    answer, truth = scene()
    levels = (normalised(answer) * 255).astype(int)
    expected = []
    for threshold in range(255, -1, -1):
        chosen = levels >= threshold
        hits = int((chosen & truth).sum())
        precision, recall = hits / max(1, int(chosen.sum())), hits / int(truth.sum())
        expected.append(1.3 * precision * recall / (0.3 * precision + recall) if hits else 0.0)
    assert measure(answer, truth).f_curve == pytest.approx(expected)


def test_mae_is_of_the_normalised_answer():
    answer, truth = scene()
    assert measure(answer, truth).mae == pytest.approx(np.abs(normalised(answer) - truth).mean())


def test_e_by_enhanced_alignment_pixel_by_pixel():
    answer, truth = scene()
    p = normalised(answer)

    def alignment(chosen):
        a, b = chosen - chosen.mean(), truth - truth.mean()
        enhanced = (2 * a * b / (a * a + b * b) + 1) ** 2 / 4
        return enhanced.sum() / (truth.size - 1)

    levels = (p * 255).astype(int)
    picture = measure(answer, truth)
    assert picture.e_mean == pytest.approx(np.mean([alignment((levels >= t).astype(float)) for t in range(256)]))
    assert picture.e_adaptive == pytest.approx(alignment((p >= min(2 * p.mean(), 1)).astype(float)))


def test_s_by_object_and_region():
    answer, truth = scene()
    p = normalised(answer)

    def object_score(values):
        return 2 * values.mean() / (values.mean() ** 2 + 1 + values.std(ddof=1))

    share = truth.mean()
    of_objects = share * object_score(p[truth]) + (1 - share) * object_score(1 - p[~truth])
    row, column = (int(np.round(places.mean())) + 1 for places in np.nonzero(truth))
    of_regions = 0.0
    for rows in (slice(0, row), slice(row, None)):
        for columns in (slice(0, column), slice(column, None)):
            x, y = p[rows, columns].ravel(), truth[rows, columns].ravel().astype(float)
            (var_x, covariance), (_, var_y) = np.cov(x, y)
            likeness = 4 * x.mean() * y.mean() * covariance / ((x.mean() ** 2 + y.mean() ** 2) * (var_x + var_y))
            of_regions += x.size / truth.size * likeness
    assert measure(answer, truth).s == pytest.approx(0.5 * of_objects + 0.5 * of_regions)


def test_weighted_f_pixel_by_pixel():
    answer, truth = scene(1)
    p = normalised(answer)
    error = np.abs(p - truth)
    height, width = truth.shape
    inside = np.argwhere(truth)
    # off the object each pixel takes the error of the nearest object pixel; equally near ones must agree on it here
    spread, far = error.copy(), np.zeros(truth.shape)
    nearest = {}
    for y, x in np.argwhere(~truth):
        squared = ((inside - (y, x)) ** 2).sum(1)
        nearest[y, x] = [error[tuple(place)] for place in inside[squared == squared.min()]]
        far[y, x] = math.sqrt(squared.min())
    window = np.exp(-(np.arange(-3, 4)[:, None] ** 2 + np.arange(-3, 4)[None] ** 2) / 50)
    window /= window.sum()

    def weighted(pick):
        for place, errors in nearest.items():
            spread[place] = pick(errors)
        padded = np.pad(spread, 3)
        blurred = np.array(
            [[(padded[y : y + 7, x : x + 7] * window).sum() for x in range(width)] for y in range(height)]
        )
        least = np.where(truth, np.minimum(error, blurred), error)
        weight = np.where(truth, 1, 2 - np.exp(math.log(0.5) / 5 * far))
        hits, extra = truth.sum() - (least * weight)[truth].sum(), (least * weight)[~truth].sum()
        recall, precision = 1 - (least * weight)[truth].mean(), hits / (hits + extra)
        return 2 * recall * precision / (recall + precision)

    # the choice among equally near pixels is the library's: its result lies between the least and the greatest error
    bounds = weighted(max), weighted(min)
    assert bounds[1] - bounds[0] < 0.01
    assert bounds[0] - 1e-9 <= measure(answer, truth).f_weighted <= bounds[1] + 1e-9


def test_a_perfect_answer():
    _, truth = scene()
    picture = measure(truth.astype(np.uint8) * 255, truth)
    assert max(picture.f_curve) == picture.f_weighted == pytest.approx(1)
    assert picture.mae == 0
    assert picture.s == pytest.approx(1)
    # 255 of the 256 thresholds see the disk (1 up to N/(N − 1)), the lowest sees a full picture: (0 + 1)²/4
    n = truth.size
    assert picture.e_mean == pytest.approx((255 + 0.25) / 256 * n / (n - 1))


def test_scale_and_offset_of_an_answer_do_not_matter():
    _, truth = scene()
    faint = np.where(truth, 90, 40).astype(np.uint8)
    assert measure(faint, truth) == measure(truth.astype(np.uint8) * 255, truth)


def test_a_constant_answer_is_taken_as_it_is():
    _, truth = scene()
    grey = measure(np.full(truth.shape, 51, np.uint8), truth)
    assert grey.mae == pytest.approx((0.8 * truth + 0.2 * ~truth).mean())
    share = truth.mean()
    assert max(grey.f_curve) == pytest.approx(1.3 * share / (0.3 * share + 1))
    nothing = measure(np.zeros(truth.shape, np.uint8), truth)
    assert nothing.mae == pytest.approx(share)
    assert nothing.f_weighted == pytest.approx(0, abs=1e-9)


def test_an_empty_truth_has_no_weighted_f():
    answer, truth = scene()
    picture = measure(answer, np.zeros_like(truth))
    assert picture.f_weighted == 0
    assert picture.s == pytest.approx(1 - normalised(answer).mean())


def test_f_max_is_the_maximum_of_the_average_curve():
    answer, truth = scene()
    other = measure(np.where(truth, answer // 3, answer).astype(np.uint8), truth)
    one = measure(answer, truth)
    summary = summarise([one, other])
    average = [(a + b) / 2 for a, b in zip(one.f_curve, other.f_curve, strict=True)]
    assert summary.f_max == pytest.approx(max(average))
    assert summary.f_max < (max(one.f_curve) + max(other.f_curve)) / 2
    assert summary.s == pytest.approx((one.s + other.s) / 2)
    assert summary.e_mean == pytest.approx((one.e_mean + other.e_mean) / 2)


def test_sizes_and_types_must_fit():
    answer, truth = scene()
    with pytest.raises(InvalidImage, match="same size"):
        measure(answer[1:], truth)
    with pytest.raises(InvalidImage, match="8-bit"):
        measure(answer / 255, truth)
    with pytest.raises(ValueError, match="no picture"):
        summarise([])
