"""What SAMA notes on a result: it comes back as it was, and what is no note does no harm."""

from __future__ import annotations

import json

import pytest

from gimp_plugin.sama_select.sama.records import (
    ALPHA,
    CUT_OUT,
    MASK,
    OPAQUE,
    Plane,
    Record,
    decode,
    encode,
    moved,
    product,
    same_thing,
)

PLANE = Plane(4, 2, "u16", bytes(range(16)))
RECORDS = [
    Record(MASK, "abc", {"points": [[1.5, 2.0]], "labels": [1]}),
    Record(MASK, "abc", {}, visible=True, mask=PLANE),
    Record(ALPHA, "abc", {"box": [0.0, 0.0, 3.0, 2.0]}, alpha=OPAQUE),
    Record(ALPHA, "abc", {}, alpha=PLANE, mask=PLANE._replace(depth="u8", data=bytes(8))),
    Record(CUT_OUT, "abc", {}, visible=True, source="f00d", tattoo=7, place=(-3, 12)),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_comes_back_as_it_was(record: Record):
    note = encode(record)
    assert note.isascii()
    assert decode(note, (4, 2)) == record


def spoilt(**fields) -> bytes:
    note = json.loads(encode(RECORDS[3]))
    note["alpha"].update(fields.pop("plane", {}))
    note.update(fields)
    return json.dumps(note).encode()


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        spoilt(version=2),
        spoilt(kind="path"),
        spoilt(clicks=3),
        spoilt(place=[1]),
        spoilt(place=[1, "x"]),
        spoilt(alpha=None),
        spoilt(alpha=5),
        spoilt(plane={"width": 5}),
        spoilt(plane={"depth": "u64"}),
        spoilt(plane={"data": "!"}),
        spoilt(plane={"data": "AAAA"}),
        spoilt(plane={"depth": "u8"}),
    ],
)
def test_what_is_no_note_is_as_good_as_none(note: bytes):
    assert decode(note, (4, 2)) is None


def test_a_note_of_another_size_is_none():
    assert decode(encode(RECORDS[3]), (4, 3)) is None


ONE = {"points": [[10, 10], [20, 5]], "labels": [1, 1]}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"points": [[10.2, 10.4]], "labels": [1]}, True),
        ({"points": [[20, 5], [60, 60]], "labels": [1, 1]}, True),
        ({"points": [[60, 60]], "labels": [1]}, False),
        ({"points": [[10, 10]], "labels": [0]}, False),
        ({"box": [0, 0, 5, 5]}, False),
        ({"points": 3, "labels": None}, False),
    ],
)
def test_prompts_that_share_a_click_are_about_one_thing(other: dict, same: bool):
    assert same_thing(ONE, other) is same


def test_regions_are_about_one_thing_when_they_are_equal():
    assert same_thing({"box": [0, 0, 5, 5]}, {"box": [0, 0, 5, 5]})
    assert not same_thing({"box": [0, 0, 5, 5]}, {"box": [0, 0, 5, 6]})
    assert not same_thing({}, {})


def test_a_prompt_moves_with_its_picture():
    there = moved({"points": [[10, 10]], "labels": [1], "box": [1, 2, 3, 4]}, -4, 1)
    assert there == {"points": [[6, 11]], "labels": [1], "box": [-3, 3, -1, 5]}


def test_the_product_of_two_masks_rounds_to_the_nearest():
    first, second = Plane(3, 1, "u8", bytes((255, 128, 10))), Plane(3, 1, "u8", bytes((77, 128, 12)))
    assert list(product(first, second).data) == [77, 64, 0]
    deep = Plane(1, 1, "u16", (32768).to_bytes(2, "little"))
    assert int.from_bytes(product(deep, deep).data, "little") == 16384
