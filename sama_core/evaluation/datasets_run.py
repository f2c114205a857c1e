"""Measure a model on the paper's data sets: one JSON line for each picture, so that a run cut short goes on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from sama_core.data.layouts import LAYOUTS
from sama_core.data.pairs import Pair, find_pairs
from sama_core.data.sets import load_rgb
from sama_core.errors import ConfigError, DatasetError
from sama_core.evaluation import saliency
from sama_core.evaluation.matting_metrics import UNKNOWN, matting_errors
from sama_core.evaluation.metrics import boundary_iou, iou
from sama_core.files import file_sha256
from sama_core.inference.engine import Engine
from sama_core.prompts import Prompt
from sama_core.weights import registry

#: Include clicks of the COIFT curve, and how often they are drawn.
CLICKS = (1, 3, 5, 10)
SEEDS = 3
_MIDDLE = 127
_LABEL = "model.json"


@dataclass(frozen=True)
class BenchmarkSet:
    """A data set of the paper's evaluation.

    Attributes:
        name: as tables name it.
        layout, split: where `find_pairs` finds it.
        task: "box" selects what a tight box of the true mask holds; "clicks" selects from include clicks drawn
            uniformly from the true mask; "matte" mattes what a tight box of the true alpha > 0.5 holds.
        pictures: how many it has where that is known, to tell a whole run from a part.
    """

    name: str
    layout: str
    split: str
    task: Literal["box", "clicks", "matte"]
    pictures: int | None


SETS = (
    BenchmarkSet("DIS-VD", "dis5k", "val", "box", 470),
    BenchmarkSet("DIS-TE1", "dis5k", "te1", "box", 500),
    BenchmarkSet("DIS-TE2", "dis5k", "te2", "box", 500),
    BenchmarkSet("DIS-TE3", "dis5k", "te3", "box", 500),
    BenchmarkSet("DIS-TE4", "dis5k", "te4", "box", 500),
    BenchmarkSet("COIFT", "coift", "test", "clicks", 280),
    BenchmarkSet("Composition-1K", "composition1k", "test", "matte", 1000),
    BenchmarkSet("Distinctions-646", "distinctions646", "test", "matte", 1000),
    BenchmarkSet("AM-2K", "am2k", "val", "matte", 200),
    BenchmarkSet("P3M-500-P", "p3m10k", "val-p", "matte", 500),
    BenchmarkSet("P3M-500-NP", "p3m10k", "val-np", "matte", 500),
    BenchmarkSet("RefMatte-RW100", "refmatte-rw100", "test", "matte", None),
)


def find_sets(
    root: Path, names: Sequence[str] | None = None
) -> tuple[list[tuple[BenchmarkSet, list[Pair]]], dict[str, str]]:
    """Look for the sets under a folder.

    Args:
        root: a folder that holds the sets as they unpack, or one set's own.
        names: sets to look for; None looks for all.

    Returns:
        What is there, with its pictures, and the name of each set that cannot be measured with the reason.

    Raises:
        DatasetError: there is no such folder, or no set of such a name.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}. Give the folder that the data sets were unpacked to.")
    known = {benchmark.name: benchmark for benchmark in SETS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise DatasetError(f"There is no set {unknown[0]!r}. Choose from {', '.join(known)}.")
    found, missing = [], {}
    for benchmark in (known[name] for name in names or known):
        try:
            pairs = find_pairs(root, benchmark.layout, benchmark.split)
        except DatasetError as error:
            missing[benchmark.name] = str(error)
            continue
        layout = LAYOUTS[benchmark.layout]
        # folders called images and masks are anybody's
        if layout.named and layout.folders[0].lower() not in (part.lower() for part in pairs[0].target.parts):
            missing[benchmark.name] = f"{root} has no folder {layout.folders[0]}."
            continue
        found.append((benchmark, pairs))
    return found, missing


def spread(pairs: list[Pair], count: int | None) -> list[Pair]:
    """Take the same `count` pairs on every call, evenly over the list; None takes all."""
    if count is None or count >= len(pairs):
        return pairs
    return [pairs[place] for place in np.unique(np.linspace(0, len(pairs) - 1, count).round().astype(int))]


def identify(model: str, weights: Path | None = None, adapter: Path | None = None) -> dict[str, str]:
    """Name a model and the SHA-256 of the files it is made of; a file that is None is the model's own.

    Raises:
        UnknownModel: there is none of that name.
    """
    about = registry.info(model)
    # the engine's rule: a model's own adapter belongs to the model's own weights
    files = {"weights": weights or about.weights, "adapter": adapter or (None if weights else about.adapter)}
    hashes = {kind: file_sha256(path) for kind, path in files.items() if path is not None and path.is_file()}
    return {"model": model if "adapter" in hashes else f"{model} without adapter"} | hashes


def claim_folder(folder: Path, identity: dict[str, str]) -> None:
    """Make `folder` the place of one model's measurements; it may hold earlier ones of the same model.

    Rows without a label may be any model's.

    Args:
        identity: what `identify` gave.

    Raises:
        ConfigError: the folder holds measurements of another model.
    """
    label = folder / _LABEL
    folder.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(label.read_text()) if label.exists() else None
    if earlier != identity and any(folder.glob("*.jsonl")):
        raise ConfigError(f"{folder} holds measurements of another model. Choose another --out or remove that folder.")
    label.write_text(json.dumps(identity, indent=1) + "\n")


def read_label(folder: Path) -> str | None:
    """Name of the model whose measurements `folder` holds, None if it holds none."""
    label = folder / _LABEL
    return json.loads(label.read_text())["model"] if label.exists() else None


def run_set(engine: Engine, benchmark: BenchmarkSet, pairs: Sequence[Pair], folder: Path) -> Iterator[tuple[int, int]]:
    """Measure pictures, appending a line each to `folder/SET.jsonl`; those already there are not measured again.

    Yields (done, of).

    Raises:
        InvalidImage, DeviceError: as the engine does.
        OSError: a picture cannot be read.
    """
    log = folder / f"{benchmark.name}.jsonl"
    done = {row["name"] for row in read_rows(log)}
    with log.open("a") as file:
        for number, pair in enumerate(pairs, start=1):
            if pair.name not in done:
                file.write(json.dumps({"name": pair.name} | measure_pair(engine, benchmark, pair)) + "\n")
                file.flush()
            yield number, len(pairs)


def read_rows(log: Path) -> list[dict]:
    """Rows of an earlier run, none if there was none.

    A last line that was cut short when the machine went down is removed from the file.
    """
    if not log.exists():
        return []
    text = log.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        log.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def measure_pair(engine: Engine, benchmark: BenchmarkSet, pair: Pair) -> dict[str, object]:
    """Ask the engine about one picture and measure its answer; {"skipped": why} where the truth is empty.

    An answer has its photo's size and is resized to the target's where that differs.
    """
    if pair.image is None:
        raise DatasetError(f"{benchmark.name}: {pair.name} has no photo. Composite the set with its own script first.")
    target = _load_grey(pair.target)
    rgb = load_rgb(pair.image)
    measure = {"box": _measure_box, "clicks": _measure_clicks, "matte": _measure_matte}[benchmark.task]
    if not target.any():
        return {"skipped": "the truth is empty"}
    engine.set_image(rgb)
    return measure(engine, pair, target, rgb.shape[:2])


def _measure_box(engine: Engine, pair: Pair, target: np.ndarray, size: tuple[int, int]) -> dict[str, object]:
    truth = _binary(target)
    alpha = _resized(engine.select(Prompt(box=_tight_box(truth, size))).alpha, truth.shape)
    picture = saliency.measure(alpha, truth)
    answer, everywhere = alpha > _MIDDLE, np.ones_like(truth)
    return {
        "saliency": asdict(picture) | {"f_curve": [round(value, 6) for value in picture.f_curve]},
        "iou": iou(answer, truth, everywhere),
        "boundary_iou": boundary_iou(answer, truth, everywhere),
    }


def _measure_clicks(engine: Engine, pair: Pair, target: np.ndarray, size: tuple[int, int]) -> dict[str, object]:
    truth = _binary(target)
    everywhere = np.ones_like(truth)
    ious: dict[str, list[float]] = {str(count): [] for count in CLICKS}
    for seed in range(SEEDS):
        clicks = _uniform_clicks(truth, size, np.random.default_rng([seed, zlib.crc32(pair.name.encode())]))
        for count in CLICKS:
            points = clicks[:count]
            alpha = _resized(engine.select(Prompt(points, [1] * len(points))).alpha, truth.shape)
            ious[str(count)].append(iou(alpha > _MIDDLE, truth, everywhere))
    return {"click_ious": ious}


def _measure_matte(engine: Engine, pair: Pair, target: np.ndarray, size: tuple[int, int]) -> dict[str, object]:
    # a veil is nowhere half opaque: then the box holds all there is of it
    solid = target > _MIDDLE if (target > _MIDDLE).any() else target > 0
    alpha = _resized(engine.matte(Prompt(box=_tight_box(solid, size))).alpha, target.shape)
    row: dict[str, object] = {"whole": asdict(matting_errors(alpha, target))}
    if pair.trimap is not None:
        trimap = _load_grey(pair.trimap)
        if trimap.shape != target.shape:
            raise DatasetError(f"{pair.trimap} is not of its matte's size. Unpack the set again.")
        if (trimap == UNKNOWN).any():
            row["unknown"] = asdict(matting_errors(alpha, target, trimap == UNKNOWN))
    return row


def _load_grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return ((np.asarray(image).astype(np.int64) + 128) // 257).astype(np.uint8)  # 16 bits
        return np.asarray(image.convert("L"))


def _binary(target: np.ndarray) -> np.ndarray:
    return target > target.max() / 2


def _tight_box(mask: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(mask)
    down, across = size[0] / mask.shape[0], size[1] / mask.shape[1]
    return (
        float(xs.min() * across),
        float(ys.min() * down),
        float((xs.max() + 1) * across),
        float((ys.max() + 1) * down),
    )


def _uniform_clicks(mask: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw as many pixels of the mask as the longest prompt needs, without repeats: N×2 (x, y) of the photo."""
    inside = np.argwhere(mask)
    chosen = rng.permutation(len(inside))[: CLICKS[-1]]
    return (inside[chosen][:, ::-1] + 0.5) * (size[1] / mask.shape[1], size[0] / mask.shape[0])


def _resized(alpha: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return alpha if alpha.shape == shape else cv2.resize(alpha, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
