"""Clicks as people make them: anywhere on a thing, on several things of a photo, not at the middle of the largest."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sama_core.data.sets import Entry, load_objects, load_rgb
from sama_core.data.simulated_user import depth_of
from sama_core.evaluation.clicks import read_log
from sama_core.evaluation.metrics import boundary_iou, iou
from sama_core.evaluation.segmenters import ClickSegmenter
from sama_core.prompts import EXCLUDE, INCLUDE

#: Clicks on an object, and objects of a photo.
CLICKS, OBJECTS = 3, 3
_REPORTED = (1, 3)
#: Pixels from the edge of a region that nobody would click on, where it is thick enough to avoid them.
_MARGIN = 2.0


def next_click(
    target: np.ndarray, answer: np.ndarray, valid: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, int] | None:
    """Click anywhere in the connected region of error that reaches deepest, the one that `next_click` clicks in
    the middle of.

    Args:
        target, answer, valid: H×W bool.

    Returns:
        (x, y, label) in pixels, or None when nothing is wrong.
    """
    missed, extra = depth_of(target & ~answer & valid), depth_of(~target & answer & valid)
    label, depth = (INCLUDE, missed) if missed.max() > extra.max() else (EXCLUDE, extra)
    if depth.max() <= 0:
        return None
    parts = cv2.connectedComponents((depth > 0).astype(np.uint8), connectivity=4)[1]
    region = parts == parts[np.unravel_index(int(depth.argmax()), depth.shape)]
    ys, xs = np.nonzero(region & (depth >= min(_MARGIN, float(depth.max()))))
    pick = rng.integers(len(ys))
    return float(xs[pick]) + 0.5, float(ys[pick]) + 0.5, label


def run_photo(segmenter: ClickSegmenter, entry: Entry) -> list[dict[str, object]]:
    """Click on up to three objects of one photo, drawn at random, three times each; the draw is the same for every
    segmenter, and so is the first click."""
    objects = load_objects(entry)
    if not objects:
        return []
    seed = zlib.crc32(f"{entry.set_name}/{entry.name}".encode())
    chosen = np.random.default_rng(seed).permutation(len(objects))[:OBJECTS].tolist()
    segmenter.begin(load_rgb(entry.image))
    rows = []
    for number in sorted(chosen):
        rng = np.random.default_rng((seed, number))
        mask, valid = objects[number]
        truth, known = mask.astype(bool), valid.astype(bool)
        answer = np.zeros_like(truth)
        points, labels, curve, boundary = [], [], [], []
        for _ in range(CLICKS):
            click = next_click(truth, answer, known, rng)
            if click is not None:
                points.append(click[:2])
                labels.append(click[2])
                answer = segmenter.click(points, labels)
            curve.append(iou(answer, truth, known))
            boundary.append(boundary_iou(answer, truth, known))
        row = {"set": entry.set_name, "name": entry.name, "object": number, "share": float(truth.mean())}
        rows.append({**row, "curve": curve, "boundary": boundary})
    return rows


def run_all(segmenter: ClickSegmenter, entries: list[Entry], log: Path) -> Iterator[tuple[int, int]]:
    """Click on all photos, appending a JSON line for each object to `log`; photos already there are not asked again.
    Yields (done, of)."""
    done = {(row["set"], row["name"]) for row in read_log(log)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        for number, entry in enumerate(entries, start=1):
            if (entry.set_name, entry.name) not in done:
                # a photo's rows together, so that a run cut short has all of them or none
                file.write("".join(json.dumps(row) + "\n" for row in run_photo(segmenter, entry)))
                file.flush()
            yield number, len(entries)


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: for each set, and for all objects, a row of each segmenter; only objects that all were asked count."""
    common = set.intersection(*({_object(row) for row in rows} for rows in results.values()))
    sets = [*sorted({set_name for set_name, *_ in common}), "all objects"]
    columns = [*(f"iou@{count}" for count in _REPORTED), *(f"biou@{count}" for count in _REPORTED)]
    lines = ["| objects | | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for set_name in sets:
        for name, rows in results.items():
            chosen = [row for row in rows if _object(row) in common and set_name in (row["set"], "all objects")]
            means = [
                np.mean([row[kind][count - 1] for row in chosen])
                for kind in ("curve", "boundary")
                for count in _REPORTED
            ]
            lines.append(
                f"| {set_name} ({len(chosen)}) | {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |"
            )
    return "\n".join(lines)


def _object(row: dict) -> tuple[str, str, int]:
    return row["set"], row["name"], row["object"]
