"""SAM 2.1 through the engine process, asked by HTTP and by the plug-in's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sam2_reference as reference
from user_desk import Desk

ENGINE = [str(Path(__file__).with_name("sam2_engine.py"))]


def test_the_service_and_the_plug_in_get_its_answer_and_are_told_whose_it_is(start_engine, tmp_path):
    desk = Desk(tmp_path)
    place = desk.home / "weights" / "sam2.1_hiera_tiny.pt"
    place.parent.mkdir()
    reference.write_checkpoint(place)
    engine = start_engine(ENGINE, home=desk.home)
    assert "sam2.1_tiny" in engine.hello()["models"]
    rgb = np.ascontiguousarray(reference.picture()[:40, :60])
    stream = engine.job(model="sam2.1_tiny", image=engine.upload(rgb), points=[[20.0, 10.0]], labels=[1])
    assert stream.last["event"] == "answer", stream.last
    assert len(stream.payload) == 40 * 60
    assert "The model sam2.1_tiny has no SAMA adapter yet: this is stock SAM's mask." in stream.last["notes"]
    outcome = desk.run(model="sam2.1_tiny", size=(60, 40))
    assert outcome.status == "answer", outcome
    assert engine.hello()["stats"]["jobs"] == 2
