"""Samples from public data sets, on tiny sets that lie as those do."""

import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from sama_core.data.pairs import Pair, find_pairs, load_pair, load_target
from sama_core.errors import ConfigError, DatasetError
from sama_core.training.config import DataSet
from sama_core.training.external import (
    ForegroundSource,
    MaskSource,
    MatteSource,
    Mixture,
    find_photos,
    make_sources,
)
from sama_core.training.samples import ViewSample

FINE, TARGET = 128, 64
RED, BLUE = (230, 40, 40), (30, 60, 200)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)
    return path


def disc(height=90, width=120):
    """A soft disc, float32 0..1."""
    hard = np.zeros((height, width), np.float32)
    cv2.circle(hard, (width // 2, height // 2), height // 4, 1.0, -1)
    return cv2.GaussianBlur(hard, (0, 0), 1.5)


def photo(alpha, inside=RED, outside=BLUE):
    return alpha[..., None] * np.array(inside) + (1 - alpha[..., None]) * np.array(outside)


@pytest.fixture
def dis(tmp_path):
    for name in "ab":
        save(tmp_path / f"DIS-TR/im/{name}.png", photo(disc()))
        save(tmp_path / f"DIS-TR/gt/{name}.png", disc() * 255)
    return tmp_path


@pytest.fixture
def mattes(tmp_path):
    for name in "ab":
        save(tmp_path / f"AIM-500/original/{name}.png", photo(disc()))
        save(tmp_path / f"AIM-500/mask/{name}.png", disc() * 255)
    return tmp_path / "AIM-500"


@pytest.fixture
def foregrounds(tmp_path):
    alpha = (disc() > 0.5).astype(np.float32)
    # what lies outside a foreground is anything: here a green that must not be seen
    colour = np.where(alpha[..., None] > 0, np.array(RED), np.array((0, 255, 0)))
    save(tmp_path / "D646/Train/FG/1.png", colour)
    save(tmp_path / "D646/Train/GT/1.png", alpha * 255)
    save(tmp_path / "backgrounds/deep/x.png", np.full((70, 100, 3), BLUE))
    return tmp_path / "D646"


def samples_of(source, count=12):
    return [source.sample(np.random.default_rng((3, i))) for i in range(count)]


def assert_is_a_sample(sample, task):
    assert sample.task == task
    assert sample.pixels.shape == (FINE, FINE, 3)
    assert sample.pixels.dtype == np.uint8
    assert sample.target.shape == sample.valid.shape == (TARGET, TARGET)
    assert sample.target.dtype == np.uint8
    assert sample.valid.dtype == bool
    step = FINE // TARGET
    assert max(sample.height, sample.width) <= FINE
    assert not sample.valid[-(-sample.height // step) :].any()
    assert not sample.valid[:, -(-sample.width // step) :].any()
    assert sample.valid[: sample.height // step, : sample.width // step].all()
    assert (sample.pixels[sample.height :] == 0).all()
    assert (sample.pixels[:, sample.width :] == 0).all()


def assert_redder_where_the_target_is(samples):
    """Photo and target show the same place: the disc is red and what is around it blue, whatever the colour jitter."""
    agreeing = []
    for sample in samples:
        small = cv2.resize(sample.pixels, (TARGET, TARGET), interpolation=cv2.INTER_AREA).astype(float)
        redness = small[..., 0] - small[..., 2]
        inside, outside = sample.target > 240, (sample.target < 10) & sample.valid
        if inside.any() and outside.any() and np.ptp(redness[sample.valid]) > 10:  # some are greyed
            agreeing.append(redness[inside].min() > redness[outside].max())
    assert len(agreeing) > len(samples) / 2
    assert all(agreeing)


def test_masks_stay_soft_and_on_their_photo(dis):
    samples = samples_of(MaskSource(find_pairs(dis, "dis5k", "train"), FINE, TARGET))
    for sample in samples:
        assert_is_a_sample(sample, "segmentation")
    assert_redder_where_the_target_is(samples)
    edges = np.concatenate([sample.target[(sample.target > 0) & (sample.target < 255)] for sample in samples])
    assert len(np.unique(edges)) > 50


def test_mattes_stay_on_their_photo_whole_and_cropped(mattes):
    samples = samples_of(MatteSource(find_pairs(mattes, "aim500", "train"), FINE, TARGET), 16)
    for sample in samples:
        assert_is_a_sample(sample, "matting")
    assert_redder_where_the_target_is(samples)
    shown = {(sample.height, sample.width) for sample in samples}
    assert (96, 128) in shown, "the whole photo"
    assert len(shown) > 2, "and crops"


def test_foregrounds_are_composited_over_other_photos(foregrounds):
    pairs = find_pairs(foregrounds, "distinctions646", "train")
    source = ForegroundSource(pairs, find_photos([foregrounds.parent / "backgrounds"]), FINE, TARGET)
    samples = samples_of(source)
    for sample in samples:
        assert_is_a_sample(sample, "matting")
    assert_redder_where_the_target_is(samples)


def test_no_colour_from_outside_a_foreground_gets_into_the_picture(foregrounds, monkeypatch):
    # without colour jitter the composite is known: between the two colours at the target's share
    monkeypatch.setattr("sama_core.training.external.recolour", lambda picture, rng: picture.astype(np.float32))
    pairs = find_pairs(foregrounds, "distinctions646", "train")
    source = ForegroundSource(pairs, find_photos([foregrounds.parent / "backgrounds"]), FINE, FINE)
    for sample in samples_of(source, 4):
        shown = sample.pixels[: sample.height, : sample.width].astype(float)
        expected = photo(sample.target[: sample.height, : sample.width].astype(float) / 255)
        np.testing.assert_allclose(shown, expected, atol=3)


def test_samples_depend_on_the_random_state_alone(mattes):
    source = MatteSource(find_pairs(mattes, "aim500", "train"), FINE, TARGET)
    first, again, other = (source.sample(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.pixels, other.pixels)


def test_sets_become_a_source_for_each_task(dis, mattes, foregrounds):
    sets = [
        DataSet(root=dis, layout="dis5k"),
        DataSet(root=mattes, weight=2.0),
        DataSet(root=foregrounds, layout="Distinctions-646"),
    ]
    sources = make_sources(sets, [foregrounds.parent / "backgrounds"], FINE, TARGET)
    assert set(sources) == {"segmentation", "matting"}
    for task, source in sources.items():
        moved = pickle.loads(pickle.dumps(source))  # as into a worker process
        assert_is_a_sample(moved.sample(np.random.default_rng(0)), task)
    assert set(make_sources(sets[:1], (), FINE, TARGET)) == {"segmentation"}


def test_the_projects_own_root_keeps_its_class_masks_and_void(tmp_path):
    indexed = np.zeros((90, 120), np.uint8)
    indexed[30:60, 30:60] = 7
    indexed[:, -20:] = 255
    save(tmp_path / "voc/images/p.png", photo(disc()))
    save(tmp_path / "voc/masks/p.png", indexed)
    save(tmp_path / "soft/images/q.png", photo(disc()))
    save(tmp_path / "soft/alphas/q.png", disc() * 255)
    (tmp_path / "split.csv").write_text("set,name,split\nvoc,p,train\nsoft,q,train\n")
    sources = make_sources([DataSet(root=tmp_path)], (), FINE, TARGET)
    made = [sources["segmentation"].sample(np.random.default_rng(i)) for i in range(8)]
    assert any((~sample.valid[: sample.height // 2, : sample.width // 2]).any() for sample in made)
    assert sources["matting"].sample(np.random.default_rng(0)).task == "matting"


def test_a_mixture_draws_by_weight():
    class Always:
        def __init__(self, task):
            self.task = task

        def sample(self, rng):
            return ViewSample(np.zeros((2, 2, 3)), 2, 2, np.zeros((1, 1)), np.ones((1, 1), bool), self.task)

    mixture = Mixture([Always("often"), Always("seldom")], [9, 1])
    rng = np.random.default_rng(0)
    drawn = [mixture.sample(rng).task for _ in range(500)]
    assert 20 < drawn.count("seldom") < 90
    with pytest.raises(DatasetError, match="positive"):
        Mixture([Always("a")], [0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.uint8), [0, 128 / 255, 1]),
        (np.array([[0, 1, 1]], np.uint8), [0, 1, 1]),
        (np.array([[0, 32768, 65535]], np.uint16), [0, 32768 / 65535, 1]),
        (np.repeat(np.array([[0, 128, 255]], np.uint8)[..., None], 3, 2), [0, 128 / 255, 1]),
    ],
    ids=["8 bit", "0 and 1", "16 bit", "three equal channels"],
)
def test_targets_of_every_depth_are_shares(values, expected, tmp_path):
    path = tmp_path / "t.png"
    Image.fromarray(values).save(path)
    got = load_target(path)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [expected], atol=1e-6)


def test_a_target_of_another_size_is_fitted_and_one_of_another_shape_refused(tmp_path):
    image = save(tmp_path / "i.png", photo(disc()))
    half = save(tmp_path / "half.png", disc(45, 60) * 255)
    turned = save(tmp_path / "turned.png", disc(120, 90) * 255)
    rgb, target = load_pair(Pair("i", image, half, "alpha"))
    assert rgb.shape[:2] == target.shape == (90, 120)
    with pytest.raises(DatasetError, match=r"i\.png is 120×90 but its target 90×120"):
        load_pair(Pair("i", image, turned, "alpha"))


def test_what_cannot_be_trained_on_says_why(tmp_path, dis, foregrounds):
    with pytest.raises(DatasetError, match="foregrounds without photos"):
        make_sources([DataSet(root=foregrounds)], (), FINE, TARGET)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures in"):
        make_sources([DataSet(root=dis)], [tmp_path / "empty"], FINE, TARGET)
    with pytest.raises(ConfigError, match="must divide"):
        make_sources([DataSet(root=dis)], (), FINE, 60)
    for name in "ab":
        save(dis / f"DIS-TR/gt/{name}.png", np.zeros((90, 120)))
    with pytest.raises(DatasetError, match="all but empty"):
        make_sources([DataSet(root=dis, layout="dis5k")], (), FINE, TARGET)["segmentation"].sample(
            np.random.default_rng(0)
        )
