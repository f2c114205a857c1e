"""Mixed requests against an engine process, and what its memory and file descriptors do meanwhile."""

from __future__ import annotations

import json
import random
import socket
import statistics
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from engine_process import PATIENCE, RunningEngine

from sama_core.images import image_id

#: Width and height of the pictures sent; from a thumbnail to two megapixels.
SIZES = ((40, 30), (320, 240), (1000, 750), (640, 1500), (1600, 1200))
#: How often each kind of request is made.
MIX = {"select": 40, "matte": 15, "status": 15, "bad prompt": 8, "bad token": 6, "new picture": 8, "hang up": 8}
#: kilobytes
MIB = 1024.0


@dataclass
class Sample:
    """What the engine held after so many requests: resident memory in MiB, open file descriptors, threads."""

    requests: int
    memory: float
    descriptors: int
    threads: int


@dataclass
class Soak:
    """What was asked, and what was seen."""

    asked: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def quarter(self, number: int) -> list[Sample]:
        """The samples of a quarter of the run, 0 to 3."""
        size = len(self.samples) // 4
        return self.samples[number * size : (number + 1) * size]

    def medians(self, what: str) -> tuple[float, float]:
        """The medians of a curve in the first quarter and in the last."""
        first, last = ([getattr(sample, what) for sample in self.quarter(number)] for number in (0, 3))
        return statistics.median(first), statistics.median(last)

    def slope(self, what: str, since: float = 0.0) -> float:
        """How much a curve climbs in 1000 requests, by least squares, after a share `since` of the run."""
        samples = self.samples[int(since * len(self.samples)) :]
        counts = [sample.requests for sample in samples]
        return 1000 * float(np.polyfit(counts, [getattr(sample, what) for sample in samples], 1)[0])


class Load:
    """A client that asks for everything, at random but the same at each run.

    Args:
        engine: the process.
        model: the model that jobs ask for.
        sizes: width and height of the pictures sent.
    """

    def __init__(self, engine: RunningEngine, model: str, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
        self._engine, self._model, self._sizes = engine, model, sizes
        self._random = random.Random(7)
        self._pixels = np.random.default_rng(7)
        self._held: list[tuple[str, int, int]] = []
        self._send_picture()

    def fill(self, capacity: int) -> None:
        """Send pictures until an engine that keeps so many bytes of them begins to drop some."""
        sent = 0
        while sent <= capacity:
            sent += self._send_picture()

    def run(self, requests: int, every: int, report: Callable[[Sample], None] = lambda sample: None) -> Soak:
        """Make so many requests, and look at the engine each `every` of them."""
        soak = Soak()
        kinds, weights = list(MIX), list(MIX.values())
        for number in range(1, requests + 1):
            [kind] = self._random.choices(kinds, weights)
            getattr(self, f"_ask_{kind.replace(' ', '_')}")()
            soak.asked[kind] += 1
            if number % every == 0:
                soak.samples.append(look(self._engine.process.pid, number))
                report(soak.samples[-1])
        return soak

    def _ask_select(self) -> None:
        name, width, height = self._picture()
        mask = zlib.compress(b"\xff" * (width * height), 1) if self._random.random() < 0.2 else b""
        self._answered(self._engine.job("select", mask, **self._click(name, width, height)))

    def _ask_matte(self) -> None:
        name, width, height = self._picture()
        wanted = {**self._click(name, width, height), "decontaminate": self._random.random() < 0.5}
        self._answered(self._engine.job("matte", **wanted))

    def _ask_status(self) -> None:
        assert self._engine.hello()["pid"] == self._engine.process.pid
        assert self._engine.request("GET", f"/v1/images/{'0' * 64}")[0] == 404

    def _ask_bad_prompt(self) -> None:
        name, width, height = self._picture()
        wrong: dict[str, Any] = self._random.choice(
            [{"labels": [0]}, {"points": [[-5, 3]]}, {"box": [9, 9, 9, 9]}, {"points": "all"}, {"image": "0" * 64}]
        )
        answer = self._engine.job("select", **{**self._click(name, width, height), **wrong})
        assert answer.status in (400, 404, 422), answer

    def _ask_bad_token(self) -> None:
        status, _ = self._engine.request("GET", "/v1/hello", headers={"Authorization": "Bearer wrong"})
        assert status == 401

    def _ask_new_picture(self) -> None:
        self._send_picture()

    def _ask_hang_up(self) -> None:
        """Leave while a job waits or runs, or in the middle of an upload; half of the time with a reset."""
        if self._random.random() < 0.3:
            head = (
                f"PUT /v1/images/{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1:{self._engine.port}\r\n"
                f"Authorization: {self._engine.auth['Authorization']}\r\n"
                "X-Width: 1000\r\nX-Height: 1000\r\nContent-Length: 3000000\r\n\r\n"
            )
            connection = socket.create_connection(("127.0.0.1", self._engine.port), timeout=PATIENCE)
            connection.sendall(head.encode() + bytes(200_000))
        else:
            job = self._engine.start_job("matte", **self._click(*self._picture()))
            assert isinstance(job.sock, socket.socket)
            connection = job.sock
        if self._random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    def _click(self, name: str, width: int, height: int) -> dict[str, Any]:
        count = self._random.randint(1, 5)
        points = [[self._random.uniform(0, width), self._random.uniform(0, height)] for _ in range(count)]
        return {"image": name, "model": self._model, "points": points, "labels": [1] * count}

    def _picture(self) -> tuple[str, int, int]:
        """One of the last few pictures: the engine may have dropped older ones."""
        return self._random.choice(self._held[-6:])

    def _send_picture(self) -> int:
        width, height = self._random.choice(self._sizes)
        rgb = self._pixels.integers(0, 256, (height, width, 3), dtype=np.uint8)
        self._held = [*self._held[-6:], (self._engine.upload(rgb, image_id(rgb)), width, height)]
        return rgb.nbytes

    @staticmethod
    def _answered(stream: Any) -> None:
        assert stream.last.get("event") == "answer", stream.last
        assert len(stream.payload) == stream.last["alpha_bytes"] + stream.last["foreground_bytes"]


def look(pid: int, requests: int) -> Sample:
    """What a process holds now (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(requests, int(values["VmRSS"].split()[0]) / MIB, descriptors, int(values["Threads"]))


def table(soak: Soak) -> Iterator[str]:
    """The curves as Markdown."""
    yield "| | median of the first quarter | median of the last | slope in 1000 requests, second half | most |"
    yield "|---|---|---|---|---|"
    for what, unit in (("memory", " MiB"), ("descriptors", ""), ("threads", "")):
        most = max(getattr(sample, what) for sample in soak.samples)
        figures = [f"{value:.0f}{unit}" for value in soak.medians(what)]
        figures += [f"{soak.slope(what, 0.5):+.2f}{unit}", f"{most:.0f}{unit}"]
        yield f"| {what} | {' | '.join(figures)} |"


def sparkline(soak: Soak, what: str, width: int = 60) -> str:
    """A curve as one line of text, from 0 to its highest value."""
    values = [getattr(sample, what) for sample in soak.samples]
    groups = [
        values[len(values) * n // width : max(len(values) * (n + 1) // width, len(values) * n // width + 1)]
        for n in range(width)
    ]
    most = max(values)
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * statistics.median(group) / most))] for group in groups)


def as_json(soak: Soak) -> str:
    """Everything seen, for a closer look."""
    return json.dumps({"asked": soak.asked, "samples": [vars(sample) for sample in soak.samples]})
