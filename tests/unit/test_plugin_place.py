from __future__ import annotations

import numpy as np
import pytest
from sama_place import place


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("offset", [(0, 0), (-3, -2), (4, 5), (-3, 6), (7, -1), (50, 0), (0, -50)])
@pytest.mark.parametrize("onto", [(9, 7), (20, 30), (3, 2)])
def test_place_is_pasting(offset, onto, channels):
    rng = np.random.default_rng(3)
    picture = rng.integers(1, 256, (7, 9, channels), np.uint8)
    canvas = np.zeros((200, 200, channels), np.uint8)
    canvas[80 + offset[1] : 87 + offset[1], 80 + offset[0] : 89 + offset[0]] = picture
    expected = canvas[80 : 80 + onto[1], 80 : 80 + onto[0]]
    placed = place(picture.tobytes(), (9, 7), offset, onto, channels)
    assert (np.frombuffer(placed, np.uint8).reshape(expected.shape) == expected).all()


def test_a_picture_that_fits_is_not_copied():
    data = bytes(63)
    assert place(data, (9, 7), (0, 0), (9, 7)) is data
