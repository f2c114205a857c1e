"""SAMA beside what people use today: the same photos and the same clicks, in one run.

usage: python benchmarks/peers.py --data DATA --mattes FOLDER [--photos 5] [--out build/peers]
       python benchmarks/peers.py --photo FILE --point X,Y [--point X,Y ...] [--exclude X,Y ...]

DATA has split.csv and SET/images, SET/masks; FOLDER has images, alphas and trimaps. A robot user clicks where SAMA
Select is most wrong; every other method is given those same clicks, and then has a dialogue of its own. Mattes are made
after three clicks; all but SAMA's from one trimap, a band around the edge of SAMA Select's mask. With --photo the
clicks are yours, and there is nothing to measure but time and memory.

Each method runs in a process of its own, one after the other. Seconds are what a user waits for the answer: the first
click's include looking at the photo, a matte's come after the clicks; those of GIMP are the extraction alone, measured
inside it. CPU seconds are what all cores spent on it: compare those on a machine that has other work. Peak memory is
the resident memory of the process that computes (GIMP itself, not its scripts), interpreter and libraries included;
the mark is put back before each answer. Everything is warmed up first.

Rows go to OUT/rows.jsonl as they are measured, and a run that was cut short goes on from there; OUT/rows.csv has them
all, OUT/sheets a picture of each photo. Needs real GIMP 3 (`make gimp`), Linux, and the extra `peers`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gimp"))
import peers_report  # noqa: E402
from peers_measure import METHODS, SAMA, Job, Photo, measure  # noqa: E402

from sama_core.data.sets import choose, find_entries, largest_object  # noqa: E402
from sama_core.errors import SamaError  # noqa: E402
from sama_core.evaluation import clicks  # noqa: E402


def main() -> int:
    """Measure what is not measured yet, then print the tables."""
    parser = argparse.ArgumentParser(description="SAMA beside what people use today.")
    parser.add_argument("--data", type=Path, help="folder with split.csv and SET/images, SET/masks")
    parser.add_argument("--photos", type=int, default=5, help="held-out photos of each set (default: 5)")
    parser.add_argument("--mattes", type=Path, help="folder with images, alphas and trimaps")
    parser.add_argument("--photo", type=Path, help="one photo without a known answer; needs --point")
    parser.add_argument("--point", type=point, action="append", default=[], help="X,Y of a click on the thing")
    parser.add_argument("--exclude", type=point, action="append", default=[], help="X,Y of a click on something else")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default: all)")
    parser.add_argument("--band", type=float, default=1.0, help="trimaps so many times as wide (default: 1)")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "peers", help="folder of the rows; resumed")
    args = parser.parse_args()
    wanted = args.methods.split(",")
    if unknown := set(wanted) - set(METHODS):
        parser.error(f"there is no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    if args.photo and not args.point:
        parser.error("--photo needs at least one --point X,Y on the thing to cut out")
    # brings torch along, which the processes of the peers, who import this file too, are to be free of
    from sama_core.evaluation import datasets_run

    try:
        photos = find_photos(args)
        identity = datasets_run.identify(args.model, args.weights, args.adapter) | {"band": str(args.band)}
        datasets_run.claim_folder(args.out, identity)
    except (SamaError, OSError) as error:
        parser.error(str(error))
    if not photos:
        parser.error("there is nothing to measure: name --data, --mattes or --photo")
    job = Job(photos, args.out, args.model, args.weights, args.adapter, args.band)
    for name in METHODS:
        # the clicks of all others are those of SAMA Select
        if name in wanted or name == SAMA:
            run_alone(name, job)
    rows = clicks.read_log(job.log)
    peers_report.write_csv(args.out / "rows.csv", rows)
    peers_report.write_sheets(job, rows)
    print(peers_report.tables(rows))
    return 0


def find_photos(args: argparse.Namespace) -> list[Photo]:
    """List what the arguments name."""
    photos = []
    if args.data:
        for entry in choose(find_entries(args.data, "val"), args.photos):
            if largest_object(entry) is None:
                continue
            photos.append(Photo("mask", f"{entry.set_name}/{entry.name}", entry.image, entry=entry))
    if args.mattes:
        for path in sorted((args.mattes / "images").iterdir()):
            alpha = args.mattes / "alphas" / f"{path.stem}.png"
            trimap = next(iter(sorted((args.mattes / "trimaps").rglob(f"{path.stem}.png"))), None)
            photos.append(Photo("matte", f"mattes/{path.stem}", path, alpha=alpha, trimap=trimap))
    if args.photo:
        points = (*args.point, *args.exclude)
        labels = (1,) * len(args.point) + (0,) * len(args.exclude)
        photos.append(Photo("shown", args.photo.stem, args.photo, points=points, labels=labels))
    return photos


def run_alone(name: str, job: Job) -> None:
    """Measure one method in a fresh process, so that its memory is its own.

    Raises:
        SystemExit: the process failed; it has printed why.
    """
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(name, job))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} stopped with {process.exitcode}. Run the command again to go on.")


def point(text: str) -> tuple[float, float]:
    """Parse X,Y."""
    x, y = text.split(",")
    return float(x), float(y)


if __name__ == "__main__":
    sys.exit(main())
