"""What a second look in a crop brings, and what it costs.

usage: python benchmarks/second_look.py DATA [--sets COCO_MVal …] [--photos N] [--shares 0 0.6 …] [--model lite]

DATA has split.csv. A robot user clicks on the largest object of held-out photos, on each answer where it is most wrong;
after one and three clicks the IoU and boundary IoU of Select, once for each threshold: a crop whose side is a larger
share of the photo's long side is not looked at; 0 is without a second look. Rows for all photos and for those whose
object's long side is under half of the photo's; seconds are means over answers, the photo's and the crop's encoding
included.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sama_core import Engine, Prompt
from sama_core.data.sets import Entry, choose, find_entries, load_objects, load_rgb
from sama_core.data.simulated_user import next_click
from sama_core.evaluation.metrics import boundary_iou, iou
from sama_core.inference import second_look
from sama_core.inference.embedding_cache import EmbeddingCache

COUNTS = (1, 3)
#: An object whose long side is under this share of its photo's is small.
SMALL = 0.5


@dataclass(frozen=True)
class Row:
    """One answer."""

    share: float
    small: bool
    count: int
    iou: float
    boundary_iou: float
    seconds: float
    again: bool


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description="Select with and without a second look.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", help="names of sets (default: all)")
    parser.add_argument("--photos", type=int, help="of each set (default: all)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, second_look.SHARE])
    parser.add_argument("--model", default="lite")
    args = parser.parse_args()
    entries = [entry for entry in find_entries(args.data, "val") if not args.sets or entry.set_name in args.sets]
    rows: list[Row] = []
    engines = {looks: Engine(args.model, cache=EmbeddingCache(None), second_look=looks) for looks in (False, True)}
    for entry in choose(entries, args.photos):
        for share in args.shares:
            second_look.SHARE = share
            rows += play(engines[share > 0], share, entry)
    columns = ("IoU", "boundary IoU", "seconds", "looked again")
    print("| objects | crop up to | clicks | " + " | ".join(columns) + " |\n|---|---|---|" + "---|" * len(columns))
    for name, chosen in (("all", rows), (f"under {SMALL:g} of the photo", [row for row in rows if row.small])):
        for count in COUNTS:
            for share in args.shares:
                print_row(name, [row for row in chosen if row.share == share and row.count == count])


def play(engine: Engine, share: float, entry: Entry) -> list[Row]:
    """Click on one photo's largest object; no row where the photo has none large enough."""
    objects = load_objects(entry)
    if not objects:
        return []
    mask, valid = max(objects, key=lambda pair: int(pair[0].sum()))
    truth, known = mask.astype(bool), valid.astype(bool)
    ys, xs = np.nonzero(truth)
    small = max(np.ptp(ys), np.ptp(xs)) + 1 < SMALL * max(truth.shape)
    rgb = load_rgb(entry.image)
    answer, points, labels, rows = np.zeros(truth.shape, bool), [], [], []
    # a fresh engine's first click encodes; the answer before is not handed on, as the plug-in does
    engine.set_image(np.zeros((8, 8, 3), np.uint8))
    for count in range(1, max(COUNTS) + 1):
        click = next_click(truth, answer, known)
        if click is not None:
            points.append(click[:2])
            labels.append(click[2])
        began = time.perf_counter()
        engine.set_image(rgb)
        answered = engine.select(Prompt(points, labels))
        seconds = time.perf_counter() - began
        answer = answered.alpha > 127
        if count in COUNTS:
            errors = iou(answer, truth, known), boundary_iou(answer, truth, known)
            rows.append(Row(share, small, count, *errors, seconds, answered.window is not None))
    return rows


def print_row(name: str, rows: list[Row]) -> None:
    """Means over photos."""
    if rows:
        means = [
            np.mean([getattr(row, field) for row in rows]) for field in ("iou", "boundary_iou", "seconds", "again")
        ]
        share = f"{rows[0].share:g}" if rows[0].share else "no second look"
        cells = [f"{means[0]:.4f}", f"{means[1]:.4f}", f"{means[2]:.2f}", f"{means[3]:.0%}"]
        print(f"| {name} ({len(rows)}) | {share} | {rows[0].count} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
