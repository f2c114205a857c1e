from __future__ import annotations

import hashlib

import numpy as np
import pytest

from sama_core.errors import InvalidImage
from sama_core.images import image_id


def test_name_is_the_hash_of_size_and_pixels():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert image_id(rgb) == hashlib.sha256(b"4x2:" + bytes(range(24))).hexdigest()


def test_same_bytes_in_another_shape_have_another_name():
    rgb = np.zeros((2, 6, 3), np.uint8)
    assert image_id(rgb) != image_id(rgb.reshape(3, 4, 3))


def test_memory_layout_does_not_matter():
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    view = rgb[::2, ::-1]
    assert not view.flags.c_contiguous
    assert image_id(view) == image_id(view.copy())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(InvalidImage):
        image_id(array)
