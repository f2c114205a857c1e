"""Prompts of any shape, type and value: a prompt that fits the picture, or `InvalidPrompt`."""

from __future__ import annotations

import argparse
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mutations import assert_helpful, mutated

from sama_core.cli import prompting
from sama_core.errors import InvalidImage, InvalidPrompt
from sama_core.prompts import MAX_POINTS, Prompt
from sama_core.service import wire

HEIGHT, WIDTH = 30, 40
NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([0, -0.0, 40, 30, 40.0001, 1e39, -1e39, 2**63, 10**400, True]),
)
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
ARRAYS = hnp.arrays(
    dtype=hnp.scalar_dtypes() | hnp.unicode_string_dtypes(max_len=4) | hnp.nested_dtypes(max_itemsize=16),
    shape=st.sampled_from([(HEIGHT, WIDTH), (0,), (4,), (2, 2), (1, 2), (), (HEIGHT, WIDTH, 1)]),
)
POINTS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=4)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def _validate(prompt: Prompt) -> None:
    try:
        fit = prompt.validated(HEIGHT, WIDTH)
    except InvalidPrompt as error:
        assert_helpful(error)
        return
    points, labels, box = np.asarray(fit.points), np.asarray(fit.labels), fit.box
    assert points.shape == (len(labels), 2) and len(labels) <= MAX_POINTS
    assert ((points >= 0) & (points <= (WIDTH, HEIGHT))).all() and set(labels.tolist()) <= {0, 1}
    if box is not None:
        assert 0 <= box[0] < box[2] <= WIDTH and 0 <= box[1] < box[3] <= HEIGHT
    if fit.mask is not None:
        assert fit.mask.shape == (HEIGHT, WIDTH) and fit.mask.dtype == bool and fit.mask.any()
    if fit.low_res_logits is not None:
        assert fit.low_res_logits.shape == (256, 256) and fit.low_res_logits.dtype == np.float32
    assert (labels == 1).any() or box is not None or fit.mask is not None or fit.low_res_logits is not None


@given(
    ANYTHING | ARRAYS | POINTS, ANYTHING | ARRAYS, ANYTHING | ARRAYS, ANYTHING | ARRAYS, st.none() | ANYTHING | ARRAYS
)
@pytest.mark.filterwarnings("error")
def test_prompts_of_any_kind(points, labels, box, mask, logits):
    _validate(Prompt(points, labels, box, mask, logits))


@given(POINTS, st.lists(st.sampled_from([0, 1, 2, -1, 0.5, True, 2**64]), max_size=4), st.none() | st.lists(NUMBERS))
@pytest.mark.filterwarnings("error")
def test_prompts_of_odd_numbers(points, labels, box):
    _validate(Prompt(points, labels, box))


JOB = {"image": "0" * 64, "model": "lite", "points": [[3.5, 4]], "labels": [1], "box": [0, 0, 9.5, 9], "mask": False}


def _parse(line: bytes) -> None:
    try:
        asked = wire.parse_job(line)
        prompt = asked.prompt(np.ones((HEIGHT, WIDTH), np.uint8) if asked.has_mask else None, HEIGHT, WIDTH)
    except (wire.RequestError, InvalidPrompt) as error:
        assert_helpful(error)
        assert json.loads(wire.error_body(error))["message"] == str(error)
        assert wire.event_line(wire.error_event(error)).count(b"\n") == 1
        return
    _validate(prompt)


@given(mutated(json.dumps(JOB).encode()))
def test_lines_with_damage(line):
    _parse(line)


@given(st.fixed_dictionaries({}, optional={name: ANYTHING.filter(_is_json) for name in [*JOB, "method", "other"]}))
def test_lines_of_any_values(fields):
    _parse(json.dumps({**JOB, **fields}).encode())


@given(st.binary(max_size=200))
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000)
@example(b'{"points":[[' + b"9" * 5000 + b",1]]}")
def test_lines_of_any_bytes(line):
    _parse(line)


@given(st.one_of(st.none(), st.text(max_size=12), NUMBERS.map(str)), st.one_of(st.none(), st.integers().map(str)))
def test_sizes_in_headers(width, height):
    try:
        columns, rows = wire.image_size(width, height)
    except (wire.RequestError, InvalidImage) as error:
        assert_helpful(error)
    else:
        assert 0 < columns <= 60_000 and 0 < rows <= 60_000 and columns * rows <= 128_000_000


@given(mutated(zlib.compress(bytes(HEIGHT * WIDTH))) | st.binary(max_size=60), st.integers(0, 40), st.integers(1, 40))
def test_masks_with_damage(body, height, width):
    try:
        mask = wire.decode_mask(body, height, width)
    except wire.RequestError as error:
        assert_helpful(error)
    else:
        assert mask.shape == (height, width) and mask.dtype == np.uint8


@given(
    st.lists(st.tuples(st.sampled_from(["--point", "--exclude", "--box", "--model", "--device"]), st.text(max_size=12)))
)
def test_prompts_on_the_command_line(pairs):
    parser = argparse.ArgumentParser(exit_on_error=False)
    prompting.add_arguments(parser)
    arguments = ["photo.png", "-o", "mask.png", *(f"{option}={value}" for option, value in pairs)]
    try:
        args = parser.parse_args(arguments)
    except (argparse.ArgumentError, SystemExit):  # argparse's own refusal, with its own text
        return
    _validate(prompting._prompt(args, None))
