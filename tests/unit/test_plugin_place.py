from __future__ import annotations

import numpy as np
import pytest

from gimp_plugin.sama_select.sama.place import find, paste


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("offset", [(0, 0), (-3, -2), (4, 5), (-3, 6), (7, -1), (50, 0), (0, -50)])
@pytest.mark.parametrize("onto", [(9, 7), (20, 30), (3, 2)])
def test_place_is_pasting(offset, onto, channels):
    rng = np.random.default_rng(3)
    picture = rng.integers(1, 256, (7, 9, channels), np.uint8)
    canvas = np.zeros((200, 200, channels), np.uint8)
    canvas[80 + offset[1] : 87 + offset[1], 80 + offset[0] : 89 + offset[0]] = picture
    expected = canvas[80 : 80 + onto[1], 80 : 80 + onto[0]]
    placed = paste(picture.tobytes(), (9, 7), offset, onto, channels)
    assert (np.frombuffer(placed, np.uint8).reshape(expected.shape) == expected).all()


def test_a_picture_that_fits_is_not_copied():
    data = bytes(63)
    assert paste(data, (9, 7), (0, 0), (9, 7)) is data


def crop(picture: np.ndarray, x: int, y: int, width: int, height: int) -> bytes:
    return picture[y : y + height, x : x + width].tobytes()


@pytest.mark.parametrize("part", [(0, 0, 40, 30), (7, 3, 20, 10), (39, 29, 1, 1), (0, 29, 40, 1)])
def test_a_part_of_a_picture_is_found(part: tuple[int, int, int, int]):
    x, y, width, height = part
    picture = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    assert find(crop(picture, x, y, width, height), (width, height), picture.tobytes(), (40, 30)) == (x, y)


def test_a_part_below_an_empty_sky_is_found():
    picture = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    picture[:25] = (90, 120, 200)
    assert find(crop(picture, 5, 2, 20, 26), (20, 26), picture.tobytes(), (40, 30)) == (5, 2)


def test_what_is_no_part_or_lies_in_many_places_is_not_found():
    picture = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    part = bytearray(crop(picture, 7, 3, 20, 10))
    part[17] ^= 1
    assert find(bytes(part), (20, 10), picture.tobytes(), (40, 30)) is None
    assert find(picture.tobytes(), (40, 30), bytes(part), (20, 10)) is None
    assert find(bytes(300), (10, 10), bytes(3600), (40, 30)) is None
    twice = np.concatenate([picture, picture])
    assert find(crop(picture, 7, 3, 20, 10), (20, 10), twice.tobytes(), (40, 60)) is None
