"""The engine as the plug-in starts it, with the model that is shipped."""

from __future__ import annotations

import numpy as np
import pytest
from engine_process import RunningEngine

HEIGHT, WIDTH, X, Y = 240, 320, 190, 110
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
DISC = (COLUMNS - X) ** 2 + (ROWS - Y) ** 2 <= 60**2


@pytest.fixture
def real_engine(start_engine) -> RunningEngine:
    return start_engine(["-m", "sama_core.service"])


@pytest.fixture
def photo() -> np.ndarray:
    ground = np.stack([np.full_like(ROWS, 30), 60 + ROWS // 3, 170 - ROWS // 3], axis=2)
    return np.where(DISC[..., None], (235, 140, 40), ground).astype(np.uint8)


def test_a_click_selects_the_thing_clicked_and_the_next_encodes_nothing(real_engine, photo):
    click = {"image": real_engine.upload(photo), "points": [[X, Y]], "labels": [1]}
    selection = real_engine.job("select", **click)
    assert selection.last["event"] == "answer", selection.last
    assert selection.last["device"] == "cpu" and 0 <= selection.last["score"] <= 1
    alpha = np.frombuffer(selection.payload, np.uint8).reshape(HEIGHT, WIDTH)
    assert alpha[DISC].mean() - alpha[~DISC].mean() > 150
    again = real_engine.job("select", **click, box=[120, 40, 260, 180])
    assert again.last["event"] == "answer"
    assert real_engine.hello()["stats"] == {"encodes": 1, "jobs": 2, "uploads": 1}
    assert real_engine.hello()["device"] == "cpu"


def test_a_click_cuts_the_thing_out_with_clean_colours(real_engine, photo):
    name = real_engine.upload(photo)
    matte = real_engine.job("matte", image=name, points=[[X, Y]], labels=[1], decontaminate=True)
    assert matte.last["event"] == "answer", matte.last
    assert matte.last["foreground_bytes"] == HEIGHT * WIDTH * 3
    assert len(matte.payload) == HEIGHT * WIDTH * 4
    assert {"encode", "decode", "refine", "foreground"} <= matte.last["seconds"].keys()


def test_another_engine_finds_the_embedding_on_disk(real_engine, start_engine, photo):
    click = {"points": [[X, Y]], "labels": [1]}
    first = real_engine.job(image=real_engine.upload(photo), **click)
    real_engine.process.terminate()
    real_engine.process.wait(60)
    successor = start_engine(["-m", "sama_core.service"], home=real_engine.home)
    second = successor.job(image=successor.upload(photo), **click)
    assert second.payload == first.payload
    assert successor.hello()["stats"]["encodes"] == 0


def test_device_that_is_not_there_is_an_error_event(start_engine, photo):
    engine = start_engine(["-m", "sama_core.service"], SAMA_DEVICE="abacus")
    failed = engine.job(image=engine.upload(photo), points=[[X, Y]], labels=[1])
    assert (failed.last["event"], failed.last["code"]) == ("error", "device")
    assert "Choose auto, cpu, cuda or mps" in failed.last["message"]
