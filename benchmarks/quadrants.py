"""What is lost by leaving out the local views that the object does not reach, and what it saves.

usage: python benchmarks/quadrants.py DATA MATTES [--photos N]

DATA has split.csv, MATTES has images/ and alphas/. A robot user clicks on held-out photos; after one and three
clicks Select's IoU and boundary IoU, and Matte's SAD and Grad, with all four local views and with those that stock
SAM's mask reaches, and the mean number of local views that were encoded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sama_core.data.sets import choose, find_entries
from sama_core.evaluation.head_answers import Contest, Measured
from sama_core.inference.predictor import Predictor
from sama_core.weights.registry import MODELS

COUNTS = (1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description="All local views beside those that the object reaches.")
    parser.add_argument("data", type=Path)
    parser.add_argument("mattes", type=Path)
    parser.add_argument("--photos", type=int, default=8, help="of each set (default: 8)")
    parser.add_argument("--model", default="lite")
    args = parser.parse_args()
    entries = choose(find_entries(args.data, "val"), args.photos)
    adapter = {"SAMA": MODELS[args.model].adapter}
    reached = count_reached()
    print("| local views | clicks | IoU | boundary IoU | SAD | Grad |\n|---|---|---|---|---|---|")
    for views in ("all", "reached"):
        contest = Contest(args.model, "cpu", adapter, COUNTS, views)
        masks = [row for row in contest.masks(entries) if row.answer == "SAMA"]
        mattes = [row for row in contest.mattes(args.mattes) if row.answer == "SAMA: closed form"]
        for count in COUNTS:
            cells = [mean(masks, count, "iou"), mean(masks, count, "boundary_iou")]
            cells += [mean(mattes, count, "sad"), mean(mattes, count, "grad")]
            print(f"| {views} | {count} | " + " | ".join(f"{cell:.4f}" for cell in cells) + " |", flush=True)
    print(f"\nReached: {np.mean(reached):.2f} of 4 local views in the mean of {len(reached)} answers.")


def count_reached() -> list[int]:
    """Record how many quadrants each answer asks for."""
    counts: list[int] = []
    ask = Predictor.quadrants

    def counted(self: Predictor, logits: np.ndarray) -> list[int]:
        quadrants = ask(self, logits)
        counts.append(len(quadrants))
        return quadrants

    Predictor.quadrants = counted
    return counts


def mean(rows: list[Measured], count: int, error: str) -> float:
    return float(np.mean([row.errors[error] for row in rows if row.clicks == count]))


if __name__ == "__main__":
    main()
