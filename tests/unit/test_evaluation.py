from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sama_core.cli import main
from sama_core.data.sets import Entry, choose
from sama_core.evaluation import anywhere, clicks
from sama_core.evaluation.metrics import boundary_iou, clicks_needed, iou
from sama_core.evaluation.segmenters import GrabCut


def square(top, left, side, size=100):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_of_known_squares():
    valid = np.ones((100, 100), bool)
    assert iou(square(0, 0, 10), square(0, 5, 10), valid) == pytest.approx(50 / 150)
    assert iou(square(0, 0, 10), square(0, 0, 10), valid) == 1
    assert iou(np.zeros_like(valid), np.zeros_like(valid), valid) == 1
    valid[:, 10:] = False
    assert iou(square(0, 0, 10), square(0, 5, 10), valid) == pytest.approx(50 / 100)


def test_boundary_iou_sees_only_the_band():
    valid = np.ones((100, 100), bool)
    big, smaller = square(10, 10, 60), square(11, 11, 58)
    width = round(0.02 * np.hypot(100, 100))
    outer = 60**2 - (60 - 2 * width) ** 2
    inner = 58**2 - (58 - 2 * width) ** 2
    both = 58**2 - (60 - 2 * width) ** 2
    assert boundary_iou(big, smaller, valid) == pytest.approx(both / (outer + inner - both))
    assert iou(big, smaller, valid) > 0.9 > boundary_iou(big, smaller, valid)


def test_number_of_clicks():
    curve = [0.5, 0.8, 0.86, 0.84, 0.91]
    assert clicks_needed(curve, 0.85, 20) == 3
    assert clicks_needed(curve, 0.90, 20) == 5
    assert clicks_needed(curve, 0.95, 20) == 20


class Learner:
    """Knows the truth and gives one more quarter of it with every click."""

    name = "learner"

    def __init__(self, truth):
        self.truth, self.asked = truth, []

    def begin(self, rgb):
        self.shape = rgb.shape

    def click(self, points, labels):
        self.asked.append((points[-1], labels[-1]))
        share = len(points) / 4
        answer = self.truth.copy()
        answer[:, 40 + int(40 * share) :] = False
        return answer

    def box(self, box):
        self.boxed = box
        return self.truth


@pytest.fixture
def entry(tmp_path):
    truth = square(40, 40, 40)
    Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    Image.fromarray(np.where(truth[..., None], 220, 30).repeat(3, 2).astype(np.uint8)).save(tmp_path / "photo.png")
    return Entry("made", "one", tmp_path / "photo.png", tmp_path / "mask.png", "binary")


def test_the_protocol_clicks_until_it_is_right(entry, tmp_path):
    learner = Learner(square(40, 40, 40))
    row = clicks.run_photo(learner, entry)
    assert row is not None
    assert row["curve"] == [0.25, 0.5, 0.75, 1.0] + [1.0] * 6
    assert learner.boxed == (40, 40, 80, 80)
    assert learner.asked[0][1] == 1
    assert row["box"] == 1
    summary = clicks.summarise([row])
    assert summary["noc@85"] == summary["noc@90"] == 4
    assert summary["iou@2"] == 0.5


def test_a_run_resumes_and_the_table_compares_the_same_photos(entry, tmp_path):
    log = tmp_path / "rows.jsonl"
    learner = Learner(square(40, 40, 40))
    assert list(clicks.run_all(learner, [entry], log)) == [(1, 1)]
    asked = len(learner.asked)
    list(clicks.run_all(learner, [entry], log))
    assert len(learner.asked) == asked
    rows = clicks.read_log(log)
    assert len(rows) == 1
    other = {**rows[0], "name": "another"}
    text = clicks.table({"learner": rows, "other": [*rows, other]})
    assert "all photos (1)" in text
    assert "| other | 0.250 | 0.500 |" in text


def test_a_person_clicks_anywhere_in_the_region_that_is_most_wrong():
    truth = square(40, 40, 40)
    answer = square(40, 70, 10) | square(0, 0, 8)  # the largest part of the object is missed, a corner is too much
    known = np.ones_like(truth)
    rng = np.random.default_rng(0)
    clicks = [anywhere.next_click(truth, answer, known, rng) for _ in range(200)]
    xs, ys = (np.array([click[axis] for click in clicks if click]) for axis in (0, 1))
    assert len(xs) == 200
    assert all(click[2] == 1 for click in clicks if click)
    wrong = truth & ~answer
    assert wrong[ys.astype(int), xs.astype(int)].all()
    depth = np.minimum.reduce([xs - 40, 80 - xs, ys - 40, 80 - ys])
    assert depth.min() < 4, "also near its edge"
    assert depth.min() > 1, "but not on it"
    assert anywhere.next_click(truth, truth, known, rng) is None
    thin = np.zeros_like(truth)
    thin[50, 20:60] = True
    assert anywhere.next_click(thin, np.zeros_like(thin), known, rng) is not None, "a line has no inner pixels"
    too_much = anywhere.next_click(truth, truth | square(0, 0, 8), known, rng)
    assert too_much is not None
    assert too_much[2] == 0


def test_clicks_anywhere_take_some_objects_of_each_photo_the_same_ones_every_time(tmp_path):
    numbers = np.zeros((100, 100), np.uint8)
    for number in range(5):
        numbers[20 * number : 20 * number + 15, 40:80] = number + 1
    Image.fromarray(numbers).save(tmp_path / "mask.png")
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "photo.png")
    entry = Entry("made", "one", tmp_path / "photo.png", tmp_path / "mask.png", "instances")
    learner = Learner(numbers == 2)
    log = tmp_path / "rows.jsonl"
    assert list(anywhere.run_all(learner, [entry], log)) == [(1, 1)]
    asked = list(learner.asked)
    rows = clicks.read_log(log)
    assert len(rows) == len({row["object"] for row in rows}) == 3
    assert all(len(row["curve"]) == len(row["boundary"]) == 3 for row in rows)
    for row in rows:
        if row["object"] == 1:
            assert row["curve"] == [0.25, 0.5, 0.75]
        else:
            assert row["curve"][0] == 0
    list(anywhere.run_all(learner, [entry], log))
    assert learner.asked == asked, "a run goes on where it stopped"
    list(anywhere.run_all(learner, [entry], tmp_path / "again.jsonl"))
    assert learner.asked == asked * 2
    half = [{**row, "curve": [0.5] * 3} for row in rows[:2]]
    text = anywhere.table({"learner": rows, "half": half})
    assert "| all objects (2) | half | 0.500 | 0.500 |" in text


def test_grabcut_cuts_a_plain_square_out():
    truth = square(40, 40, 40)
    rgb = np.where(truth[..., None], np.array([220, 60, 40]), np.array([20, 90, 60])).astype(np.uint8)
    rgb = np.clip(rgb + np.random.default_rng(0).normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    grabcut = GrabCut()
    grabcut.begin(rgb)
    assert iou(grabcut.click([(60, 60)], [1]), truth, np.ones_like(truth)) > 0.95
    assert iou(grabcut.click([(60, 60), (10, 10)], [1, 0]), truth, np.ones_like(truth)) > 0.95
    assert iou(grabcut.box((38, 38, 82, 82)), truth, np.ones_like(truth)) > 0.95


def test_photos_are_spread_evenly_and_sets_take_turns():
    def entries(set_name, count):
        return [Entry(set_name, f"{i:02}", Path(), Path(), "binary") for i in range(count)]

    chosen = choose([*entries("a", 9), *entries("b", 2)], 3)
    assert [(entry.set_name, entry.name) for entry in chosen] == [
        ("a", "00"),
        ("b", "00"),
        ("a", "04"),
        ("b", "01"),
        ("a", "08"),
    ]
    assert len(choose(entries("a", 9), None)) == 9


@pytest.fixture
def data(entry, tmp_path):
    (tmp_path / "data/made/images").mkdir(parents=True)
    (tmp_path / "data/made/masks").mkdir()
    entry.image.rename(tmp_path / "data/made/images/one.png")
    entry.mask.rename(tmp_path / "data/made/masks/one.png")
    (tmp_path / "data/split.csv").write_text("set,name,split\nmade,one,val\n")
    return tmp_path / "data"


def test_clicks_are_asked_of_the_adapter_that_is_named(data, tmp_path, capsys):
    run = ["evaluate", "clicks", "--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*run, "--adapter", str(tmp_path / "mine.safetensors")]) == 1
    assert "There is no adapter mine.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_clicks_of_another_model_are_not_counted_in(data, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    rows = tmp_path / "out/sama-lite.jsonl"
    rows.write_text("{}\n")
    assert main(["evaluate", "clicks", "--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "measurements of another model" in capsys.readouterr().err
    assert rows.read_text() == "{}\n"
