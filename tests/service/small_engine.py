"""A real engine process with small deterministic models in place of the product's: a script for the tests.

Each model is one behaviour of an engine. Models leave a line in `$SAMA_HOME/record.txt` for what they did.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from sama_core import paths
from sama_core.errors import Cancelled, DeviceError
from sama_core.image_id import image_id as name_of
from sama_core.inference.answer import Answer
from sama_core.service import limits
from sama_core.service.engines import EnginePool
from sama_core.service.lifecycle import serve


def answer(alpha: np.ndarray) -> Answer:
    return Answer(
        alpha=alpha.astype(np.uint8),
        score=0.5,
        low_res_logits=np.zeros((256, 256), np.float32),
        notes=["made by a small engine"],
        seconds={"encode": 0.25},
    )


def record(line: str) -> None:
    with (paths.home() / "record.txt").open("a") as file:
        file.write(line + "\n")


class SmallEngine:
    """Alpha: the sum of the channels, plus 1 for each click, 10 for a box and 100 inside the mask."""

    device = "cpu"

    def __init__(self) -> None:
        self.encodes = 0
        self.rgb = np.zeros((0, 0, 3), np.uint8)
        self.image = ""

    def set_image(self, rgb, progress=lambda *_: None, image_id: str | None = None) -> str:
        progress(0.0, "Encoding")
        assert image_id and image_id == name_of(rgb)
        if image_id != self.image:
            self.rgb, self.image = rgb, image_id
            self.encodes += 1
        return image_id

    def select(self, prompt, progress=lambda *_: None):
        progress(0.5, "Finding the edge")
        alpha = self.rgb.sum(axis=2) + len(prompt.points) + (10 if prompt.box is not None else 0)
        if prompt.mask is not None:
            alpha = alpha + 100 * prompt.mask
        return answer(alpha % 256)

    def matte(self, prompt, decontaminate=False, progress=lambda *_: None, method="closed-form"):
        matte = self.select(prompt, progress)
        if method == "head":
            matte.alpha = 255 - matte.alpha
        if decontaminate:
            matte.foreground = 255 - self.rgb
        return matte


class WaitingEngine(SmallEngine):
    """Reports progress until the file `release` appears; the number of clicks names the job in the record."""

    def select(self, prompt, progress=lambda *_: None):
        job = len(prompt.points)
        record(f"started {job}")
        try:
            while not (paths.home() / "release").exists():
                progress(0.5, "Waiting")
                time.sleep(0.01)
        except Cancelled:
            record(f"cancelled {job}")
            raise
        record(f"finished {job}")
        return super().select(prompt, progress)


class FailingEngine(SmallEngine):
    """Raises `error` in the middle of a job."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def select(self, prompt, progress=lambda *_: None):
        raise self.error


class DeafEngine(SmallEngine):
    """Computes without ever reporting progress, until the file `release` appears."""

    def select(self, prompt, progress=lambda *_: None):
        record("deaf started")
        while not (paths.home() / "release").exists():
            time.sleep(0.01)
        return super().select(prompt)


MODELS = {
    "small": SmallEngine,
    "waiting": WaitingEngine,
    "deaf": DeafEngine,
    "broken": lambda: FailingEngine(ValueError("secret detail")),
    "hungry": lambda: FailingEngine(MemoryError()),
    "refusing": lambda: FailingEngine(DeviceError("There is no such device. Choose another.")),
    "leaving": lambda: FailingEngine(SystemExit(3)),
}


def load_slowly_if_asked(model: str) -> SmallEngine:
    if model == "small" and "SAMA_TEST_LOAD_GATE" in os.environ:
        gate = Path(os.environ["SAMA_TEST_LOAD_GATE"])
        while not gate.exists():
            time.sleep(0.01)
    return MODELS[model]()


if __name__ == "__main__":
    for name, value in json.loads(os.environ.get("SAMA_TEST_LIMITS", "{}")).items():
        setattr(limits, name, value)
    sys.exit(serve(EnginePool(list(MODELS), load_slowly_if_asked, "cpu"), detached=True))
