"""A real engine process with small deterministic models in place of the product's: a script for the tests.

Each model is one behaviour of an engine. Models leave a line in `$SAMA_HOME/record.txt` for what they did.

It takes orders from files in SAMA_HOME: `die_at` names one of STEPS, at which the engine kills itself with SIGKILL,
once; `clock` holds seconds by which its wall clock is wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from sama_core import paths
from sama_core.errors import Cancelled, DeviceError
from sama_core.images import image_id as name_of
from sama_core.inference.request import Answer
from sama_core.service import lifecycle, limits, log_file, security
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


#: Where an engine can die, in the order in which a first job comes to them.
STEPS = (
    "announcing",  # it listens, and is about to write its state file
    "announced",
    "hello",  # has come, and is not answered yet
    "question",  # has come, and is not answered yet
    "half a picture",
    "whole picture",  # has come, and is not acknowledged yet
    "loading",
    "encoding",
    "computing",
    "answer",  # its line is sent, its pixels are not
    "half an answer",
)


def perhaps_die(step: str) -> None:
    assert step in STEPS
    order = paths.home() / "die_at"
    ordered = order.read_text() if order.exists() else os.environ.get("SAMA_TEST_DIE_AT")
    if ordered == step:
        order.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)


class MortalGate(security.Gate):
    """The gate, with the steps of a request that can be seen from there."""

    async def __call__(self, scope, receive, send):
        kind = {"GET": "hello", "PUT": "picture", "POST": "question"}.get(scope["method"], "")
        if kind in STEPS:
            perhaps_die(kind)
        pieces = 0

        async def receiving():
            message = await receive()
            if kind == "picture":
                perhaps_die("half a picture")
            return message

        async def sending(message):
            nonlocal pieces
            if kind == "picture" and message["status" if "status" in message else "type"] == 204:
                perhaps_die("whole picture")
            await send(message)
            body = message.get("body", b"")
            if kind == "question" and (pieces or bytes(body[:30]).startswith(b'{"event": "answer"')):
                pieces += 1
                perhaps_die("answer" if pieces == 1 else "half an answer")

        await super().__call__(scope, receiving, sending)


class MortalStateFile(lifecycle.StateFile):
    def write(self):
        perhaps_die("announcing")
        super().write()
        perhaps_die("announced")


def wall_clock(real=time.time):
    """The system's clock, wrong by what the file `clock` says."""
    clock = paths.home() / "clock"
    return real() + (float(clock.read_text()) if clock.exists() else 0.0)


class SmallEngine:
    """Alpha: the sum of the channels, plus 1 for each click, 10 for a box and 100 inside the mask."""

    device = "cpu"

    def __init__(self) -> None:
        self.encodes = 0
        self.rgb = np.zeros((0, 0, 3), np.uint8)
        self.image = ""

    def set_image(self, rgb, progress=lambda *_: None, image_id: str | None = None) -> str:
        progress(0.0, "Encoding")
        perhaps_die("encoding")
        assert image_id and image_id == name_of(rgb)
        if image_id != self.image:
            self.rgb, self.image = rgb, image_id
            self.encodes += 1
        return image_id

    def select(self, prompt, progress=lambda *_: None):
        progress(0.5, "Finding the edge")
        perhaps_die("computing")
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


class OutOfMemoryError(RuntimeError):
    """torch's own, of a graphics card, is known by this name."""


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
    "hungry card": lambda: FailingEngine(OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")),
    "refusing": lambda: FailingEngine(DeviceError("There is no such device. Choose another.")),
    "leaving": lambda: FailingEngine(SystemExit(3)),
}


def load_slowly_if_asked(model: str) -> SmallEngine:
    if model == "small" and "SAMA_TEST_LOAD_GATE" in os.environ:
        gate = Path(os.environ["SAMA_TEST_LOAD_GATE"])
        while not gate.exists():
            time.sleep(0.01)
    perhaps_die("loading")
    return MODELS[model]()


if __name__ == "__main__":
    for name, value in json.loads(os.environ.get("SAMA_TEST_LIMITS", "{}")).items():
        setattr(limits, name, value)
    time.time = wall_clock
    security.Gate, lifecycle.StateFile = MortalGate, MortalStateFile
    log_file.MAX_BYTES = int(os.environ.get("SAMA_TEST_LOG_BYTES", log_file.MAX_BYTES))
    sys.exit(serve(EnginePool(list(MODELS), load_slowly_if_asked, "cpu"), detached=True))
