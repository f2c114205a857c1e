"""How long a user waits, beside stock SAM ViT-B in the same process: first click, next click, preview and matte.

usage: python benchmarks/speed.py PHOTO[@X,Y[,X,Y]] … [--repeats 2] [--model lite] [--threads N] [--steps click,matte]

X, Y are the first and the next click as shares of width and height (0.5,0.5 unless told). Stock SAM is
`segment_anything`'s own `SamPredictor` with random weights, which change no time. Its steps and SAMA's take turns,
photo by photo and round by round, so that other work on the machine falls on both. Ratios are of CPU seconds, medians
over the rounds; the stages of a step are in CPU seconds too. Only ratios and shares are to be compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import torch

from sama_core.data.sets import load_rgb
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.engine import Engine
from sama_core.inference.request import Answer
from sama_core.prompts import Prompt

T = TypeVar("T")


@dataclass
class Measured:
    """CPU seconds and wall seconds of the calls of one step, and CPU seconds of its stages."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)


class Table:
    """What was measured on one photo, by step."""

    def __init__(self) -> None:
        self.steps: dict[str, Measured] = {}

    def measure(self, step: str, work: Callable[[], T]) -> T:
        """Run a step once."""
        cpu, wall = time.process_time(), time.monotonic()
        with mock.patch("sama_core.inference.request.time.perf_counter", time.process_time):
            result = work()
        measured = self.steps.setdefault(step, Measured())
        measured.cpu.append(time.process_time() - cpu)
        measured.wall.append(time.monotonic() - wall)
        if isinstance(result, Answer):
            for stage, seconds in result.seconds.items():
                measured.stages.setdefault(stage, []).append(seconds)
        return result

    def rows(self, photo: str) -> Iterator[str]:
        """The rows of the table, Markdown."""
        stock = {name: statistics.median(self.steps[f"stock {name}"].cpu) for name in ("encode", "predict")}
        for step, measured in self.steps.items():
            cpu, wall = statistics.median(measured.cpu), statistics.median(measured.wall)
            yardstick = "encode" if "encode" in step or "first" in step else "predict"
            stages = ", ".join(
                f"{name} {seconds:.2f}"
                for name, each in measured.stages.items()
                if (seconds := statistics.median(each)) >= 0.005
            )
            ratio = f"{cpu / stock[yardstick]:.2f} {yardstick}s"
            yield f"| {photo} | {step} | {cpu:.2f} | {wall:.2f} | {ratio} | {stages} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How long a user waits, beside stock SAM ViT-B.")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--steps", default="click,matte,colours")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    stock = stock_predictor()
    photos = [Photo(text) for text in args.photos]
    tables = {photo.name: Table() for photo in photos}
    with tempfile.TemporaryDirectory() as folder:
        warm_up(args.model, Path(folder))
        for number in range(args.repeats):
            for photo in photos:
                engine = Engine(args.model, cache=EmbeddingCache(Path(folder) / f"{number}{photo.name}"))
                ask(photo, engine, stock, tables[photo.name], args.steps.split(","))
                print(f"{photo.name}, round {number + 1} of {args.repeats}", flush=True)
    print(f"\n{torch.get_num_threads()} threads, medians of {args.repeats} rounds, stages in CPU seconds\n")
    print("| photo | step | CPU s | wall s | of stock SAM ViT-B | stages |\n|---|---|---|---|---|---|")
    for photo in photos:
        height, width = photo.rgb.shape[:2]
        for row in tables[photo.name].rows(f"{photo.name}, {height * width / 1e6:.0f} MP"):
            print(row)


class Photo:
    """A photo and two clicks on it, from PHOTO@X,Y,X,Y."""

    def __init__(self, text: str) -> None:
        path, _, places = text.partition("@")
        self.rgb, self.name = load_rgb(Path(path)), Path(path).stem
        shares = [float(share) for share in places.split(",")] if places else [0.5, 0.5]
        shares += [shares[0] + 0.03, shares[1] + 0.03] if len(shares) == 2 else []
        self._points = np.array(shares, np.float32).reshape(2, 2) * self.rgb.shape[1::-1]

    def prompt(self, clicks: int) -> Prompt:
        """The first clicks."""
        return Prompt(self._points[:clicks], np.ones(clicks, np.int64))


def ask(photo: Photo, engine: Engine, stock: tuple[Callable, Callable], table: Table, steps: list[str]) -> None:
    """Go through the steps of one photo once, stock SAM's among them."""
    table.measure("stock encode", lambda: stock[0](photo.rgb))
    table.measure("stock predict", stock[1])

    def first() -> Answer:
        engine.set_image(photo.rgb)
        return engine.select(photo.prompt(1))

    table.measure("first click", first)
    if "click" in steps:
        table.measure("next click", lambda: engine.select(photo.prompt(2)))
        table.measure("stock predict", stock[1])
    if "matte" in steps:
        table.measure("matte after it", lambda: engine.matte(photo.prompt(2)))
    if "colours" in steps:
        table.measure("matte with colours", lambda: engine.matte(photo.prompt(2), decontaminate=True))


def warm_up(model: str, folder: Path) -> None:
    """Load what loads on first use."""
    engine = Engine(model, cache=EmbeddingCache(folder / "warm"))
    rgb = np.zeros((96, 96, 3), np.uint8)
    rgb[24:72, 24:72] = 255
    engine.set_image(rgb)
    prompt = Prompt(np.array([[48.0, 48.0]], np.float32), np.ones(1, np.int64))
    engine.select(prompt)
    engine.matte(prompt, decontaminate=True)


def stock_predictor() -> tuple[Callable[[np.ndarray], None], Callable[[], object]]:
    """Stock SAM ViT-B's `set_image`, and its `predict` of one mask."""
    from segment_anything import SamPredictor, sam_model_registry

    torch.manual_seed(0)
    predictor = SamPredictor(sam_model_registry["vit_b"]().eval())
    point, label = np.array([[40.0, 40.0]]), np.array([1])
    return predictor.set_image, lambda: predictor.predict(point, label, multimask_output=False)


if __name__ == "__main__":
    main()
