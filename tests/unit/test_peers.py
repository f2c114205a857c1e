"""What SAMA is compared with answers well where the answer is plain: a disk on another colour."""

import json

import numpy as np
import peers_report
import pytest
from peers_measure import COUNTS, METHODS, SAMA, Job, Measurer, Method, Photo
from PIL import Image

from sama_core.data.sets import Entry
from sama_core.evaluation import trimap_matting
from sama_core.evaluation.contact_sheet import contact_sheet, over_green
from sama_core.evaluation.matting_metrics import matting_errors
from sama_core.evaluation.metrics import iou
from sama_core.evaluation.segmenters import INSIDE, OUTSIDE, UNKNOWN, GrabCut, RandomWalker, click_seeds

HEIGHT, WIDTH = 90, 120
CENTRE = (64.5, 44.5)


def disk(radius=26.0):
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    return radius - np.hypot(rows - CENTRE[1], columns - CENTRE[0])


@pytest.fixture
def truth():
    return disk() > 0


def paint(alpha):
    """A red disk over green, with noise."""
    clean = alpha[..., None] * np.array((210, 70, 50)) + (1 - alpha[..., None]) * np.array((30, 90, 70))
    return np.rint(clean + np.random.default_rng(0).normal(0, 4, clean.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def photo(truth):
    return paint(truth.astype(float))


@pytest.mark.parametrize("peer", [GrabCut(), RandomWalker()], ids=lambda peer: peer.name)
def test_clicks_cut_the_disk_out(peer, photo, truth):
    peer.begin(photo)
    everywhere = np.ones_like(truth)
    assert iou(peer.click([CENTRE], [1]), truth, everywhere) > 0.9
    assert iou(peer.click([CENTRE, (10, 80)], [1, 0]), truth, everywhere) > 0.9


def test_a_large_photo_is_walked_small_and_answered_in_its_own_size(photo, truth):
    large = np.asarray(Image.fromarray(photo).resize((WIDTH * 6, HEIGHT * 6), Image.Resampling.NEAREST))
    walker = RandomWalker()
    walker.begin(large)
    answer = walker.click([(CENTRE[0] * 6, CENTRE[1] * 6)], [1])
    assert iou(answer, truth.repeat(6, 0).repeat(6, 1), np.ones_like(answer)) > 0.9


def test_seeds_are_disks_and_the_border_and_every_click_keeps_its_pixel():
    seeds = click_seeds((100, 200), [(50, 50), (51, 50), (150, 20)], [1, 0, 0])
    assert seeds[50, 50] == INSIDE
    assert seeds[50, 51] == seeds[50, 52] == seeds[20, 150] == OUTSIDE
    assert seeds[50, 48] == OUTSIDE  # under both disks: the later click's
    assert (seeds[:2] == OUTSIDE).all()
    assert (seeds[:, -2:] == OUTSIDE).all()
    assert seeds[80, 100] == UNKNOWN


def test_a_trimap_is_unknown_so_many_pixels_to_both_sides(truth):
    trimap = trimap_matting.trimap_around(truth, 5)
    assert set(np.unique(trimap)) == {0, 128, 255}
    inward = disk()
    assert (trimap[inward > 7] == trimap_matting.INSIDE).all()
    assert (trimap[inward < -7] == trimap_matting.OUTSIDE).all()
    assert (trimap[np.abs(inward) < 3] == trimap_matting.UNKNOWN).all()
    assert not trimap_matting.trimap_around(np.zeros_like(truth), 5).any()


@pytest.mark.parametrize("solve", [trimap_matting.closed_form, trimap_matting.knn])
def test_solvers_find_the_soft_edge(solve, truth):
    soft = np.clip(disk() / 6 + 0.5, 0, 1)
    alpha = np.rint(soft * 255).astype(np.uint8)
    matte = solve(paint(soft), trimap_matting.trimap_around(truth, 6))
    hard = matting_errors(truth.astype(np.uint8) * 255, alpha).sad
    assert matting_errors(matte, alpha).sad < 0.5 * hard


def test_a_trimap_that_knows_no_inside_is_refused(photo):
    with pytest.raises(ValueError, match="foreground"):
        trimap_matting.closed_form(photo, np.where(disk() > 0, 128, 0).astype(np.uint8))


class Moody:
    """Answers with the truth, or fails."""

    name = "moody"

    def __init__(self, truth, fails):
        self.truth, self.fails = truth, fails

    def begin(self, rgb):
        pass

    def click(self, points, labels):
        if self.fails:
            raise ValueError("no")
        return self.truth


@pytest.fixture
def job(tmp_path, photo, truth):
    """Two photos with masks, of which SAMA has answered both."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    entries = [Entry("made", name, tmp_path / "photo.png", tmp_path / "mask.png", "binary") for name in "ab"]
    photos = [Photo("mask", f"made/{entry.name}", entry.image, entry=entry) for entry in entries]
    return Job(photos, tmp_path / "out", "lite", None, None, 1.0)


def ask(job, name, truth, fails=()):
    for number, photo in enumerate(job.photos):
        Measurer(name, job).photo(photo, Method(Moody(truth, number in fails)), METHODS[name].tasks(photo))


def test_rows_are_measured_once_and_a_failure_is_a_row(job, truth, capsys):
    job.out.mkdir()
    ask(job, "GrabCut", truth)
    assert not job.log.exists()  # there are no clicks yet
    ask(job, SAMA, truth)
    ask(job, "GrabCut", truth, fails=[1])
    rows = [json.loads(line) for line in job.log.read_text().splitlines()]
    assert {(row["photo"], row["what"]) for row in rows if row["method"] == SAMA} == {
        (photo.name, what) for photo in job.photos for what in ("clicks", "dialogue", "mask")
    }
    masks = [row for row in rows if row["what"] == "mask" and row["photo"] == "made/a"]
    assert [(row["method"], row["clicks"], row["iou"]) for row in masks] == [
        (name, count, 1) for name in (SAMA, "GrabCut") for count in COUNTS
    ]
    assert all(row["peak_mib"] > 1 and row["seconds"] >= 0 for row in masks)
    assert [row["error"] for row in rows if "error" in row] == ["ValueError: no"] * 2
    before = job.log.read_text()
    ask(job, SAMA, truth)
    ask(job, "GrabCut", truth)
    assert job.log.read_text() == before

    text = peers_report.tables(rows)
    # means are over what both answered
    assert "| SAMA | 1 | 1.000 | 1.000 |" in text
    assert [line.split("|")[-3:-1] for line in text.splitlines() if line.startswith("| GrabCut | 3")] == [
        [" 1 ", " 1 "]
    ]
    assert "| made/b | 1.000 / 1.000 | failed |" in text
    peers_report.write_csv(job.out / "rows.csv", rows)
    assert len((job.out / "rows.csv").read_text().splitlines()) == 1 + len([r for r in rows if r["what"] != "clicks"])
    peers_report.write_sheets(job, rows)
    assert Image.open(job.out / "sheets" / "made-a.jpg").size[0] == 4 * 320


def test_a_sheet_has_a_row_for_each_four_pictures(photo):
    cells = {str(number): over_green(photo, np.full(photo.shape[:2], 255, np.uint8)) for number in range(5)}
    assert (over_green(photo, np.full(photo.shape[:2], 255, np.uint8)) == photo).all()
    sheet = contact_sheet(cells, 4, 60)
    assert sheet.size == (240, 2 * (45 + 18))
