"""The click protocol of interactive segmentation: a robot user clicks where the answer is most wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sama_core.data.sets import Entry, largest_object, load_rgb
from sama_core.data.simulated_user import next_click
from sama_core.evaluation.metrics import boundary_iou, clicks_needed, iou
from sama_core.evaluation.segmenters import ClickSegmenter, Segmenter

#: Clicks at which mean IoU is reported; every photo gets at least the last of them.
REPORTED = (1, 2, 3, 5, 10)
LIMIT = 20
_STOP = 0.90


@dataclass(frozen=True)
class Dialogue:
    """A robot user's clicks on one object, and IoU and boundary IoU after each of them.

    Where nothing is wrong any more there is no further click, and the curves go on as they are.
    """

    points: list[tuple[float, float]]
    labels: list[int]
    curve: list[float]
    boundary: list[float]


def play(
    segmenter: ClickSegmenter, truth: np.ndarray, known: np.ndarray, least: int = REPORTED[-1], most: int = LIMIT
) -> Dialogue:
    """Click on an object of the photo that `segmenter` has begun, `least` times, and on to `most` while no answer has
    reached IoU 0.90.

    Args:
        truth, known: H×W bool; where `known` is false nothing counts as wrong.
    """
    answer = np.zeros_like(truth)
    dialogue = Dialogue([], [], [], [])
    while len(dialogue.curve) < least or (max(dialogue.curve) < _STOP and len(dialogue.curve) < most):
        click = next_click(truth, answer, known)
        if click is not None:
            dialogue.points.append(click[:2])
            dialogue.labels.append(click[2])
            answer = segmenter.click(dialogue.points, dialogue.labels)
        dialogue.curve.append(iou(answer, truth, known))
        dialogue.boundary.append(boundary_iou(answer, truth, known))
    return dialogue


def run_photo(segmenter: Segmenter, entry: Entry) -> dict[str, object] | None:
    """Play the protocol on the largest object of one photo; None where the photo has no object large enough.

    After 10 clicks a photo goes on, to 20, only while it is short of IoU 0.90: the rest changes no reported number.
    """
    target = largest_object(entry)
    if target is None:
        return None
    truth, known = target
    segmenter.begin(load_rgb(entry.image))
    ys, xs = np.nonzero(truth)
    box_answer = segmenter.box((float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)))
    dialogue = play(segmenter, truth, known)
    return {
        "set": entry.set_name,
        "name": entry.name,
        "box": iou(box_answer, truth, known),
        "box_boundary": boundary_iou(box_answer, truth, known),
        "curve": dialogue.curve,
        "boundary": dialogue.boundary,
    }


def run_all(segmenter: Segmenter, entries: list[Entry], log: Path) -> Iterator[tuple[int, int]]:
    """Play all photos, appending a JSON line each to `log`; photos already there are not played again. Yields
    (done, of)."""
    done = {(row["set"], row["name"]) for row in read_log(log)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        for number, entry in enumerate(entries, start=1):
            if (entry.set_name, entry.name) not in done:
                row = run_photo(segmenter, entry)
                if row is not None:
                    file.write(json.dumps(row) + "\n")
                    file.flush()
            yield number, len(entries)


def read_log(log: Path) -> list[dict]:
    """Rows of an earlier run, none if there was none."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def summarise(rows: list[dict]) -> dict[str, float]:
    """Means over photos: IoU after each reported click, NoC@85, NoC@90, IoU given the box, boundary IoU after 1
    and 3."""
    summary = {"photos": float(len(rows)), "box": float(np.mean([row["box"] for row in rows]))}
    for count in REPORTED:
        summary[f"iou@{count}"] = float(np.mean([row["curve"][count - 1] for row in rows]))
    for target in (0.85, 0.90):
        needed = [clicks_needed(row["curve"], target, LIMIT) for row in rows]
        summary[f"noc@{target * 100:.0f}"] = float(np.mean(needed))
    for count in (1, 3):
        summary[f"biou@{count}"] = float(np.mean([row["boundary"][count - 1] for row in rows]))
    return summary


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: for each set, and for all photos, a row of each segmenter; only photos that all of them played
    count."""
    common = set.intersection(*({(row["set"], row["name"]) for row in rows} for rows in results.values()))
    sets = [*sorted({set_name for set_name, _ in common}), "all photos"]
    columns = [*(f"iou@{count}" for count in REPORTED), "noc@85", "noc@90", "box", "biou@1", "biou@3"]
    lines = ["| photos | | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for set_name in sets:
        for name, rows in results.items():
            chosen = [
                row for row in rows if (row["set"], row["name"]) in common and set_name in (row["set"], "all photos")
            ]
            summary = summarise(chosen)
            cells = [f"{summary[column]:.2f}" if "noc" in column else f"{summary[column]:.3f}" for column in columns]
            lines.append(f"| {set_name} ({len(chosen)}) | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
