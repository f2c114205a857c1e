"""Arguments of `sama evaluate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama evaluate`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    clicks = what.add_parser("clicks", help="a robot user clicks on photos with known masks")
    clicks.add_argument("--data", type=Path, required=True, help="folder with split.csv and SET/images, SET/masks")
    clicks.add_argument("--split", default="val")
    clicks.add_argument("--sets", help="comma-separated names of sets (default: all)")
    clicks.add_argument("--photos", type=int, help="at most so many photos of each set (default: all)")
    clicks.add_argument("--peers", default="grabcut", help="comma-separated: grabcut, or none (default: grabcut)")
    clicks.add_argument("--model", default="lite")
    clicks.add_argument("--weights", type=Path, help="weight file to use instead of the model's own")
    clicks.add_argument("--device", default="auto")
    clicks.add_argument(
        "--out", type=Path, default=Path("build/evaluate"), help="folder of the per-photo rows; resumed"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print one Markdown table."""
    from sama_core.evaluation import clicks
    from sama_core.evaluation.segmenters import EngineSegmenter, GrabCut, Segmenter
    from sama_core.training.datasets import find_entries

    sets = tuple(args.sets.split(",")) if args.sets else None
    entries = clicks.choose(find_entries(args.data, args.split, sets), args.photos)
    segmenters: list[Segmenter] = [EngineSegmenter(args.model, args.device, args.weights)]
    if args.peers == "grabcut":
        segmenters.append(GrabCut())
    results = {}
    for segmenter in segmenters:
        log = args.out / f"{segmenter.name.replace(' ', '-').lower()}.jsonl"
        for done, total in clicks.run_all(segmenter, entries, log):
            print(f"\r{segmenter.name}: {done} of {total} photos", end="", file=sys.stderr)
        print(file=sys.stderr)
        results[segmenter.name] = clicks.read_log(log)
    print(clicks.table(results))
    return 0
