"""Photos as tensors and the views that training draws from them: pictures and targets belong together."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from sama_core.data.photo_store import PhotoFiles, PhotoStore
from sama_core.data.sets import VOID, Entry
from sama_core.errors import DatasetError
from sama_core.training.drawn_shapes import _KINDS, draw_shape
from sama_core.training.views_of_photos import Augmentation, draw_views

SIZE = 512
PLAIN = Augmentation(whole=1.0, turn=0.0, paste=0.0, repeat=0.0, shapes=0.0, mosaic=0.0, union=0.0)


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Four photos with a bright disk each (class 3), two of them with a second one (class 7) and void beside it."""
    root = tmp_path_factory.mktemp("photos")
    entries = []
    for number in range(4):
        mask = np.zeros((90, 120), np.uint8)
        cv2.circle(mask, (40 + 10 * number, 45), 20, 3, -1)
        if number % 2:
            cv2.circle(mask, (106, 14), 10, 7, -1)
            mask[-4:] = VOID
        photo = np.where((mask == 3)[..., None], 220, 40) + np.zeros((90, 120, 3))
        photo[mask == 7] = 150
        Image.fromarray(photo.astype(np.uint8)).save(root / f"{number}.png")
        Image.fromarray(mask).save(root / f"m{number}.png")
        entries.append(Entry("disks", str(number), root / f"{number}.png", root / f"m{number}.png", "classes"))
    return entries


@pytest.fixture(scope="module")
def store(entries):
    return PhotoStore.load(entries, SIZE, threads=2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_store_holds_photos_at_one_long_side_with_numbered_objects(store):
    assert store.pixels.shape == (4, 3, SIZE, SIZE)
    assert store.sizes.tolist() == [[384, 512]] * 4
    assert store.counts.tolist() == [1, 2, 1, 2]
    assert (store.labels[:, 384:] == VOID).all(), "padding is nobody's"
    assert (store.labels[1, 370:384] == VOID).all(), "so is what the annotator left open"
    for photo in range(4):
        inside = store.labels[photo] == 1
        assert store.pixels[photo, :, inside].float().mean() > 200, "the largest object is number 1"


def test_photos_without_objects_are_left_out_and_none_at_all_is_an_error(entries, tmp_path):
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(tmp_path / "empty.png")
    empty = Entry("disks", "empty", entries[0].image, tmp_path / "empty.png", "classes")
    assert len(PhotoStore.load([entries[0], empty], SIZE)) == 1
    with pytest.raises(DatasetError, match="has an object"):
        PhotoStore.load([empty], SIZE)


def test_a_component_that_may_be_two_things_is_background_and_no_target(entries, tmp_path):
    mask = np.zeros((90, 120), np.uint8)
    cv2.circle(mask, (35, 60), 20, 5, -1)
    cv2.circle(mask, (75, 60), 20, 5, -1)
    cv2.line(mask, (35, 60), (75, 60), 5, 5)
    cv2.circle(mask, (105, 12), 9, 5, -1)
    Image.fromarray(mask).save(tmp_path / "two.png")
    two = Entry("disks", "two", entries[0].image, tmp_path / "two.png", "classes")
    store = PhotoStore.load([two], SIZE)
    assert store.counts.tolist() == [1], "the disk by itself"
    assert store.labels[0, 256, 149] == 0
    Image.fromarray(np.where(mask == 5, 1, 0).astype(np.uint8)).save(tmp_path / "one.png")
    one = Entry("disks", "one", entries[0].image, tmp_path / "one.png", "instances")
    assert (PhotoStore.load([one], SIZE).labels[0, 256, 149]) == 1, "its annotator says that it is one"


def test_photos_read_when_taken_are_those_of_the_store(entries, store, tmp_path):
    files = PhotoFiles(entries, SIZE).__getitems__([3, 0, 3])
    held = store.__getitems__([3, 0, 3])
    for name in ("pixels", "labels", "sizes", "counts"):
        assert torch.equal(getattr(files, name), getattr(held, name)), name
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(tmp_path / "empty.png")
    empty = Entry("disks", "empty", entries[0].image, tmp_path / "empty.png", "classes")
    instead = PhotoFiles([entries[1], empty], SIZE).__getitems__([1])
    assert torch.equal(instead.labels[0], store.labels[1]), "the next photo, from the first one on"
    with pytest.raises(DatasetError, match="has an object"):
        PhotoFiles([empty], SIZE).__getitems__([0])


def test_a_plain_view_is_the_photo_mirrored_or_not(store):
    views = draw_views(store, torch.arange(4), 1, PLAIN, generator())
    assert (views.inside[:, :, :384] == 1).all()
    assert (views.inside[:, :, 384:] == 0).all()
    for photo in (0, 2):
        truth = torch.nn.functional.avg_pool2d((store.labels[photo] == 1).float()[None], 2)[0]
        target = views.targets[photo, 0]
        assert min((target - shown).abs().max() for shown in (truth, truth.flip(1))) < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_targets_lie_on_what_the_picture_shows(store, seed):
    """Whatever is zoomed, turned, pasted or put beside others: the disk is bright, its surroundings are darker."""
    photos = torch.arange(4).repeat(4)
    augmentation = Augmentation(whole=0.2, turn=0.8, paste=0.5, repeat=0.0, shapes=0.0, mosaic=0.3)
    views = draw_views(store, photos, 2, augmentation, generator(seed))
    assert views.pixels.shape == (16, 3, SIZE, SIZE)
    assert views.targets.shape == views.valid.shape == (16, 2, 256, 256)
    assert ((views.pixels >= 0) & (views.pixels <= 255)).all()
    grey = torch.nn.functional.avg_pool2d(views.pixels.mean(1, keepdim=True), 2)[:, 0]
    right = total = 0
    for i in range(16):
        for j in range(2):
            if not views.usable[i, j]:
                continue
            inside = views.targets[i, j] > 0.95
            around = torch.nn.functional.max_pool2d(views.targets[i, j][None], 15, 1, 7)[0] > 0
            ring = around & (views.targets[i, j] < 0.05) & (views.valid[i, j] > 0) & ~views.others[i, j]
            if inside.any() and ring.any():
                total += 1
                right += bool(grey[i][inside].median() > grey[i][ring].median())
    assert total > 20
    assert right >= 0.9 * total


def test_the_same_generator_gives_the_same_views(store):
    first, second = (draw_views(store, torch.arange(4), 2, Augmentation(), generator(7)) for _ in range(2))
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.targets, second.targets)


def test_void_is_not_valid_and_padding_neither(store):
    views = draw_views(store, torch.tensor([1, 3]), 1, PLAIN, generator())
    assert (views.valid[:, :, 186:] == 0).all()
    assert (views.valid[:, :, :180].float().mean()) > 0.99


def test_of_two_alike_one_is_the_target_and_the_other_is_known_to_be_none_of_it(store):
    augmentation = Augmentation(whole=1.0, turn=0.0, paste=0.0, repeat=1.0, shapes=0.0, mosaic=0.0, union=0.0)
    views = draw_views(store, torch.tensor([0, 2]).repeat(8), 1, augmentation, generator(2))
    grey = torch.nn.functional.avg_pool2d(views.pixels.mean(1, keepdim=True), 2)[:, 0]
    area = float((store.labels[0] == 1).sum()) / 4
    twice = 0
    for i in range(16):
        target, other = views.targets[i, 0] > 0.5, views.others[i, 0]
        assert not (target & other).any()
        assert target.sum() < 1.5 * area, "one disk, not two"
        if other.sum() > 0.2 * area:
            twice += 1
            assert target.sum() > 0.2 * area
            ground = ~(target | other) & (views.inside[i, 0, ::2, ::2] > 0)
            level = grey[i][ground].median()
            assert grey[i][other].median() > level + 20
            assert grey[i][target].median() > level + 20
    assert twice > 8


def test_drawn_shapes_become_targets_that_one_sees_through(store):
    augmentation = Augmentation(whole=1.0, turn=0.0, paste=0.0, repeat=0.0, shapes=1.0, mosaic=0.0, union=0.0)
    views = draw_views(store, torch.arange(4).repeat(4), 1, augmentation, generator(4))
    thin = 0
    for target in views.targets[:, 0]:
        depth = np.asarray(ndimage.distance_transform_edt(target.numpy() > 0.5))
        thin += bool(0 < np.max(depth) < 8)
    assert 5 <= thin < 16, "some views keep their own target"


@pytest.mark.parametrize("kind", _KINDS)
def test_a_shape_is_thin_for_its_size_and_leaves_its_picture_free(kind, monkeypatch):
    monkeypatch.setattr("sama_core.training.drawn_shapes._KINDS", (kind,))
    holes = 0
    for seed in range(6):
        shape = draw_shape(SIZE, np.random.default_rng(seed))
        assert shape.dtype == np.float32
        assert shape.max() == 1
        solid = shape > 0.5
        assert 50 < solid.sum() < 0.4 * SIZE**2
        assert np.max(np.asarray(ndimage.distance_transform_edt(solid))) < 0.06 * SIZE
        holes += int(np.asarray(ndimage.binary_fill_holes(solid)).sum() > 1.1 * solid.sum())
        assert np.array_equal(shape, draw_shape(SIZE, np.random.default_rng(seed)))
    if kind.__name__ in ("_lattice", "_wheel", "_chain"):
        assert holes >= 5, "one sees through it"
