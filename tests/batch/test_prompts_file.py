"""The prompts' file: what it may say, and that what is wrong in it is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sama_core.batch.prompts_file import PhotoPrompt, read_prompts
from sama_core.batch.worker import Task
from sama_core.errors import BatchError

BOX = {"box": [0, 0, 9, 9]}


@pytest.fixture
def read(tmp_path):
    def read(document: object) -> list[PhotoPrompt]:
        path = tmp_path / "prompts.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return read_prompts(path)

    return read


def test_everything_that_may_be_said(read):
    a, b, c = read(
        {
            "version": 1,
            "defaults": {"kind": "select", "decontaminate": False},
            "photos": {
                "ä.jpg": {"points": [[1, 2.5], [3, 4]], "labels": [1, 0], "exclude": [[5, 6]], "box": [0, 1, 2, 3]},
                "deep/b.tif": {"mask": "rough/b.png", "kind": "matte", "method": "head", "alpha_only": True},
                "c.png": {**BOX, "output": "other.webp", "decontaminate": True},
            },
        }
    )
    assert a == PhotoPrompt(
        "ä.jpg", "ä.png", ((1, 2.5), (3, 4), (5, 6)), (1, 0, 0), (0, 1, 2, 3), kind="select", decontaminate=False
    )
    assert b == PhotoPrompt(
        "deep/b.tif", "deep/b.png", mask="rough/b.png", alpha_only=True, method="head", decontaminate=False
    )
    assert (c.kind, c.output, c.decontaminate) == ("select", "other.webp", True)
    task = Task("p", "m", "d", "k", a)
    assert Task.from_json(task.to_json()) == task and Task.from_json(Task("p", "", "d", "k", b).to_json()).prompt == b


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", "is no valid JSON: .* in line 1, column 2"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "the file: must be an object"),
        ('{"version": 1, "version": 1}', "“version” is there twice"),
        ('{"version": 1, "photos": {"a.png": {"box": [0, 0, NaN, 1]}}}', "NaN is no number"),
        ('{"version": 1, "photos": {"a.png": {"box": [0, 0, 1e999, 1]}}}', r"box: must be \[left"),
        ({"photos": {"a.png": BOX}}, 'must say "version": 1'),
        ({"version": 2, "photos": {"a.png": BOX}}, 'must say "version": 1'),
        ({"version": 1, "photos": {}}, '"photos" must be an object'),
        ({"version": 1, "photos": {"a.png": []}}, "photos, “a.png”: must be an object"),
        ({"version": 1, "photos": {"a.png": {"point": [[1, 1]]}}}, "no setting “point”; did you mean points?"),
        ({"version": 1, "defaults": {"box": [0, 0, 1, 1]}, "photos": {"a.png": BOX}}, "defaults: there is no setting"),
        ({"version": 1, "defaults": {"kind": "cut"}, "photos": {"a.png": BOX}}, "defaults, kind: must be one of"),
        ({"version": 1, "photos": {"a.png": {}}}, "says nothing of the thing"),
        ({"version": 1, "photos": {"a.png": {"exclude": [[1, 1]]}}}, "says nothing of the thing"),
        ({"version": 1, "photos": {"a.png": {"points": [1, 1]}}}, r"points: must be a list of points \[x, y\]"),
        ({"version": 1, "photos": {"a.png": {"points": {"x": 1}}}}, "points: must be a list"),
        ({"version": 1, "photos": {"a.png": {"points": [["1", 1]]}}}, "points: must be a list"),
        ({"version": 1, "photos": {"a.png": {"points": [[True, 1]]}}}, "points: must be a list"),
        ({"version": 1, "photos": {"a.png": {"points": [[1, 1]], "labels": [1, 1]}}}, "1 points but 2 labels"),
        ({"version": 1, "photos": {"a.png": {"points": [[1, 1]], "labels": [2]}}}, "labels: must be a list of 1"),
        ({"version": 1, "photos": {"a.png": {"points": [[1, 1]], "labels": [True]}}}, "labels: must be a list of 1"),
        ({"version": 1, "photos": {"a.png": {"box": [1, 2, 3]}}}, "box: must be"),
        ({"version": 1, "photos": {"a.png": {**BOX, "alpha_only": "yes"}}}, "alpha_only: must be true or false"),
        (
            {"version": 1, "photos": {"a.png": {**BOX, "method": "magic"}}},
            "method: must be one of refiner, closed-form, head",
        ),
        ({"version": 1, "photos": {"a.png": {"mask": 7}}}, "mask: must be the name"),
        ({"version": 1, "photos": {"a.png": {**BOX, "output": "a.jpg"}}}, "output: must end with .png"),
        ({"version": 1, "photos": {"a.png": {**BOX, "output": 5}}}, "output: must be a file name"),
        ({"version": 1, "photos": {"a.png": BOX, "A.jpg": BOX}}, "“a.png” and “A.jpg” would both be written to A.png"),
        *[
            ({"version": 1, "photos": {"a.png": {**BOX, key: name}}}, "is no file name within the folder")
            for key in ("output", "mask")
            for name in ("../a.png", "/a.png", "b//a.png", "b\\a.png", "C:a.png", ".sama-batch/a.png", "a\n.png")
        ],
        ({"version": 1, "photos": {"../a.png": BOX}}, "“../a.png” is no file name within the folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(read, document, text):
    with pytest.raises(BatchError, match=text) as error:
        read(document)
    assert "prompts.json" in str(error.value) and str(error.value).endswith(".")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(BatchError, match="No such file"):
        read_prompts(tmp_path / "none.json")
    path = Path(tmp_path / "latin.json")
    path.write_bytes('{"ä": 1}'.encode("latin-1"))
    with pytest.raises(BatchError, match="no UTF-8"):
        read_prompts(path)
