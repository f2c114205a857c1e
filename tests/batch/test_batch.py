"""`sama batch` as a real process with real workers: what it writes and keeps, and what one photo's trouble does."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_batch_engine import SmallBatchEngine

from sama_core.batch.job import Batch
from sama_core.batch.journal import Journal
from sama_core.batch.prompts_file import PhotoPrompt
from sama_core.batch.worker import work
from sama_core.errors import BatchStopped


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited a minute in vain for {what}")
        time.sleep(0.02)


def test_each_kind_of_output_and_a_second_run(desk):
    desk.photo("a.png", kind="select", points=[[5, 5], [6, 6]], labels=[1, 0], exclude=[[9, 9]])
    desk.photo("deep/b.jpg", points=[[5, 5]])
    desk.photo("c.png", red=60, box=[1, 1, 20, 20], alpha_only=True, output="c alpha.tif")
    desk.photo("d.png", red=60, mask="rough.png", decontaminate=False, method="head")
    Image.new("L", (40, 30), 255).save(desk.folder / "rough.png")
    Image.new("RGB", (4, 4)).save(desk.photos / "unlisted.jpg")
    status, out, err = desk.run("--jobs", "2")
    assert status == 0, err
    assert out.splitlines()[-1] == f"4 done, 0 kept from before, 0 failed; see {desk.out / 'report.json'}"
    assert desk.made() == ["a.png", "c alpha.tif", "d.png", "deep/b.png"]
    assert (desk.pixels("a.png") == 103).all()
    assert desk.pixels("deep/b.png").shape == (30, 40, 4)
    assert abs(int(desk.pixels("deep/b.png")[0, 0, 0]) - 155) < 5  # colours from the matte
    assert (desk.pixels("c alpha.tif") == 60).all()
    assert tuple(desk.pixels("d.png")[0, 0]) == (60, 20, 30, 255 - 110)
    report = desk.report()
    assert (report["done"], report["failed"], report["open"], report["ended"]) == (4, 0, 0, "whole")
    assert report["without_prompt"] == ["unlisted.jpg"] and report["model"] == "lite"
    assert [line["photo"] for line in report["photos"]] == ["a.png", "deep/b.jpg", "c.png", "d.png"]
    assert str(desk.folder) not in json.dumps(report)
    before = {name: (desk.out / name).stat().st_mtime_ns for name in desk.made()}

    status, out, _ = desk.run("--json")
    assert status == 0 and json.loads(out)["kept"] == 4
    assert {name: (desk.out / name).stat().st_mtime_ns for name in desk.made()} == before

    desk.photo("a.png", red=80, kind="select", points=[[5, 5]])  # another photo
    desk.prompts["c.png"]["box"] = [1, 1, 21, 20]  # another prompt
    assert desk.run()[0] == 0
    assert desk.statuses() == {"a.png": "done", "deep/b.jpg": "kept", "c.png": "done", "d.png": "kept"}
    assert (desk.pixels("a.png") == 81).all()
    assert desk.run("--force")[0] == 0
    assert set(desk.statuses().values()) == {"done"}


def test_one_bad_photo_never_stops_the_rest(desk):
    desk.photo("killer.png", red=1)
    desk.photo("raising.png", red=2)
    desk.photo("hungry.png", red=3)
    desk.photo("unlucky.png", kind="select", box=[13, 1, 20, 20])
    desk.photo("off.png", points=[[1000, 5]])
    desk.photo("broken.png")
    (desk.photos / "broken.png").write_bytes(b"\x89PNG no picture")
    desk.prompts["absent.png"] = {"points": [[1, 1]]}
    desk.photo("unmasked.png", mask="none.png")
    desk.photo("good.png", kind="select", points=[[1, 1]])
    status, out, err = desk.run()
    assert status == 1
    assert desk.made() == ["good.png"] and desk.statuses()["good.png"] == "done"
    errors = {line["photo"]: line["error"] for line in desk.report()["photos"] if line["status"] == "failed"}
    for name, text in {
        "killer.png": "The process that worked on it ended (signal 9, perhaps because the memory ran out).",
        "raising.png": "An unexpected problem (ValueError: out of order).",
        "hungry.png": "There is not enough memory for this photo.",
        "unlucky.png": "That box is unlucky.",
        "off.png": "outside the picture",
        "broken.png": "is not a picture",
        "absent.png": "There is no file absent.png.",
        "unmasked.png": "There is no file none.png.",
    }.items():
        assert text in errors.pop(name), name
        assert f"sama: {name}: " in err
    assert errors == {} and "Traceback" not in err
    assert out.splitlines()[-1].startswith("1 done, 0 kept from before, 8 failed")


def running(folder: Path) -> list[int]:
    """The workers that live."""
    alive = []
    for path in folder.iterdir():
        stat = Path("/proc") / path.name / "stat"
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            alive.append(int(path.name))
    return alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_batch_goes_on(desk, sign, status):
    for number in range(3):
        desk.photo(f"{number}.png", red=100 + number, kind="select", points=[[1, 1]])
    desk.photo("wait.png", red=4, kind="select", points=[[1, 1]])
    desk.photo("later.png", kind="select", points=[[1, 1]])
    process = desk.start()
    wait_for(lambda: (desk.home / "seen-4").exists(), "the photo that waits")
    process.send_signal(sign)
    assert process.wait(60) == status
    (desk.home / "release").touch()  # a worker that lost its master ends with the photo that it has
    _, err = process.communicate(timeout=60)
    if sign == signal.SIGINT:
        assert "sama: Stopped; what is done is kept. The same command goes on from there.\n" in err
        assert desk.report()["ended"] == "stopped" and desk.report()["open"] == 2
    assert desk.made() == ["0.png", "1.png", "2.png"] or sign == signal.SIGKILL
    wait_for(lambda: not running(desk.home / "workers"), "the workers to end")
    assert desk.run()[0] == 0
    assert desk.made() == ["0.png", "1.png", "2.png", "later.png", "wait.png"]
    assert list(desk.statuses().values()) == ["kept"] * 3 + ["done"] * 2


def test_nothing_of_others_is_overwritten(desk):
    desk.photo("a.png", kind="select", points=[[1, 1]])
    desk.photo("b.png", kind="select", points=[[1, 1]])
    desk.photo("c.png", kind="select", points=[[1, 1]])
    desk.out.mkdir()
    (desk.out / "a.png").write_text("somebody's")
    (desk.out / "c.png").symlink_to(desk.photos / "c.png")
    photo = (desk.photos / "c.png").read_bytes()
    assert desk.run()[0] == 1
    assert desk.statuses() == {"a.png": "failed", "b.png": "done", "c.png": "failed"}
    Image.fromarray(desk.pixels("b.png") + np.uint8(1)).save(desk.out / "b.png")
    retouched = (desk.out / "b.png").read_bytes()
    status, _, err = desk.run("--force")
    assert status == 1 and err.count("is there already and is not what a batch made, or was changed since") == 3
    assert (desk.out / "a.png").read_text() == "somebody's" and (desk.out / "b.png").read_bytes() == retouched
    assert (desk.photos / "c.png").read_bytes() == photo and (desk.out / "c.png").is_symlink()


def test_the_folder_of_photos_takes_no_outputs(desk):
    desk.photo("a.png")
    before = (desk.photos / "a.png").read_bytes()
    desk.out = desk.photos
    status, _, err = desk.run()
    assert status == 2 and "is the folder of the photos. Write into another one." in err
    assert [path.name for path in desk.photos.iterdir()] == ["a.png"]
    assert (desk.photos / "a.png").read_bytes() == before


def test_two_batches_do_not_share_a_folder(desk):
    desk.photo("wait.png", red=4)
    first = desk.start()
    wait_for(lambda: (desk.home / "seen-4").exists(), "the photo that waits")
    status, _, err = desk.run()
    assert status == 2 and "Another batch is writing into" in err
    (desk.home / "release").touch()
    assert first.wait(60) == 0


def test_a_model_that_is_missing_stops_the_batch_at_once(desk):
    desk.photo("a.png")
    desk.environment["SAMA_TEST_NO_MODEL"] = "1"
    status, _, err = desk.run()
    assert status == 1 and err == "sama: There are no weights. Fetch them.\n"
    assert desk.report()["open"] == 1


def test_the_journal_survives_being_cut_short(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add("a.png", "key", "aa")
    journal.add("b.png", "key", "bb")
    path.write_bytes(path.read_bytes()[:-5])
    journal = Journal(path)
    assert journal.key_of("a.png", "aa") == "key" and not journal.knows("b.png", "bb")
    journal.add("c.png", "other", "cc")
    path.write_bytes(path.read_bytes() + b'\xff\n[]\n{"output": 1}\n{"output": "x", "key": 2, "sha256": []}\n')
    journal = Journal(path)
    assert journal.key_of("a.png", "aa") == "key" and journal.key_of("c.png", "cc") == "other"


class NeverAskedEngine(SmallBatchEngine):
    def __init__(self) -> None:
        pass

    def set_image(self, rgb) -> str:
        raise AssertionError("there was no need to ask")


def outcome_without_engine(desk, output: str) -> str:
    """What a batch of one photo says of an output that cannot be, without asking an engine."""
    prompts = [PhotoPrompt("a.png", output, ((1, 1),), (1,))]
    with Batch(desk.photos, prompts, desk.folder, desk.out, {}) as batch:
        batch.run(work(NeverAskedEngine(), task) for task in batch.tasks())
        [line] = batch.lines
    assert line.status == "failed" and "draft" not in line.error and ".sama-batch" not in line.error
    return line.error


def test_what_the_format_cannot_hold_is_said_before_the_work(desk):
    desk.photo("a.png")
    Image.new("RGB", (16400, 2)).save(desk.photos / "a.png")
    assert "at most 16383 pixels a side, and the picture is 16400×2" in outcome_without_engine(desk, "a.webp")


def test_an_output_without_a_place_is_said_before_the_work(desk):
    desk.photo("a.png")
    desk.out.mkdir()
    (desk.out / "taken").write_text("a file")
    assert "taken is not a folder" in outcome_without_engine(desk, "taken/deep/a.png")
    assert "File name too long" in outcome_without_engine(desk, "x" * 300 + ".png")
    assert (desk.out / "taken").read_text() == "a file"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(desk):
    desk.photo("a.png")
    desk.out = Path("/proc/out")
    status, _, err = desk.run()
    assert status == 2 and "Nothing can be written into /proc/out: " in err and ".sama-batch" not in err


class PlainEngine(SmallBatchEngine):
    def __init__(self) -> None:
        pass

    def set_image(self, rgb) -> str:
        self.rgb = rgb
        return "image"


def test_a_failure_names_the_output_not_its_draft(desk, monkeypatch):
    def refused(self, file, **_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    desk.photo("a.png")
    prompts = [PhotoPrompt("a.png", "cut.png", ((1, 1),), (1,), kind="select")]
    with Batch(desk.photos, prompts, desk.folder, desk.out, {}) as batch:
        monkeypatch.setattr(Image.Image, "save", refused)
        batch.run(work(PlainEngine(), task) for task in batch.tasks())
    [line] = batch.lines
    assert line.error.startswith("cut.png: Input/output error.")


def test_resolution_is_kept(desk):
    desk.photo("a.png", kind="select", points=[[1, 1]])
    Image.new("RGB", (40, 30), (100, 0, 0)).save(desk.photos / "a.png", dpi=(300, 300))
    assert desk.run()[0] == 0
    with Image.open(desk.out / "a.png") as made:
        assert made.info["dpi"] == pytest.approx((300, 300), abs=0.1)


class FullDiskEngine(SmallBatchEngine):
    def __init__(self) -> None:
        pass

    def set_image(self, rgb) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_the_batch(desk):
    desk.photo("a.png")
    desk.photo("b.png")
    prompts = [PhotoPrompt(name, name, ((1, 1),), (1,)) for name in ("a.png", "b.png")]
    with Batch(desk.photos, prompts, desk.folder, desk.out, {}) as batch:
        with pytest.raises(BatchStopped, match=r"The disk is full. Make room and give the same command again\."):
            batch.run(work(FullDiskEngine(), task) for task in batch.tasks())
        assert batch.report("stopped")["open"] == 1
