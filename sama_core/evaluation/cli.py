"""Arguments of `sama evaluate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sama_core.errors import ConfigError
from sama_core.evaluation.variants import VARIANTS
from sama_core.weights.registry import DEFAULT

#: Modules of the packages in the `evaluate` extra.
_EXTRAS = ("cv2", "py_sod_metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama evaluate`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    clicks = what.add_parser("clicks", help="a robot user clicks on photos with known masks")
    clicks.add_argument("--data", type=Path, required=True, help="folder with split.csv and SET/images, SET/masks")
    clicks.add_argument("--split", default="val")
    clicks.add_argument("--sets", help="comma-separated names of sets (default: all)")
    clicks.add_argument("--photos", type=int, help="at most so many photos of each set (default: all)")
    clicks.add_argument(
        "--anywhere",
        action="store_true",
        help="click as people do instead: three times anywhere (seeded) on up to three objects of each photo",
    )
    clicks.add_argument("--peers", default="grabcut", help="comma-separated: grabcut, or none (default: grabcut)")
    clicks.add_argument("--model", default=DEFAULT)
    clicks.add_argument("--weights", type=Path, help="weight file to use instead of the model's own")
    clicks.add_argument("--adapter", type=Path, help="SAMA adapter file to use instead of the model's own")
    clicks.add_argument("--device", default="auto")
    clicks.add_argument(
        "--out", type=Path, default=Path("build/evaluate"), help="folder of the per-photo rows; resumed"
    )
    tables = what.add_parser(
        "tables",
        help="the paper's Tables 1 to 5: its figures beside those measured on the data sets you have",
        description="Measure a model on the paper's data sets, as far as they are there, and print the paper's Tables "
        "1 to 5 with its figures beside those measured. A run that was cut short goes on where it stopped.",
    )
    tables.add_argument(
        "--data", type=Path, help="folder of the data sets as they unpack; without it, print what was measured before"
    )
    tables.add_argument("--sets", help="comma-separated names of sets, as the tables write them (default: all)")
    tables.add_argument("--photos", type=int, help="at most so many photos of each set (default: all)")
    tables.add_argument(
        "--as",
        dest="variant",
        choices=VARIANTS,
        default="sama",
        help="what the model is in the ablations of Tables 3 to 5 (default: sama, the whole)",
    )
    tables.add_argument("--model", default=DEFAULT)
    tables.add_argument("--weights", type=Path, help="weight file to use instead of the model's own")
    tables.add_argument("--adapter", type=Path, help="SAMA adapter file to use instead of the model's own")
    tables.add_argument("--device", default="auto")
    tables.add_argument(
        "--out",
        type=Path,
        default=Path("build/evaluate/tables"),
        help="folder of the per-photo rows, one folder below it for each --as; resumed",
    )
    heads = what.add_parser(
        "heads",
        help="SAMA's heads beside the small SAM and closed-form matting, given the same clicks",
        description="A robot user clicks where the small SAM is most wrong; then every answer is measured after the "
        "same clicks. Several adapters of one model may be compared (ablations).",
    )
    heads.add_argument("--data", type=Path, help="folder with split.csv and SET/images, SET/masks")
    heads.add_argument("--photos", type=int, help="at most so many photos of each set (default: all)")
    heads.add_argument("--mattes", type=Path, help="folder with images, alphas and, if there are, trimaps")
    heads.add_argument("--clicks", default="1,3", help="after how many clicks (default: 1,3)")
    heads.add_argument(
        "--adapter",
        dest="adapters",
        metavar="NAME=FILE",
        action="append",
        help="a SAMA adapter and its name in the table; repeatable (default: the model's own)",
    )
    heads.add_argument("--model", default=DEFAULT)
    heads.add_argument("--device", default="auto")
    heads.add_argument("--sheets", type=Path, help="folder for pictures of the mattes, over green")


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print Markdown tables.

    Raises:
        ConfigError: a package that only evaluation needs is not installed.
    """
    try:
        return {"clicks": _clicks, "tables": _tables, "heads": _heads}[args.what](args)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise ConfigError(
            f"The package {error.name} is not installed. Run: pip install 'sama-gimp[evaluate]'."
        ) from error


def _clicks(args: argparse.Namespace) -> int:
    from sama_core.data.sets import choose, find_entries
    from sama_core.evaluation import anywhere, clicks, datasets_run
    from sama_core.evaluation.segmenters import EngineSegmenter, GrabCut, Segmenter

    sets = tuple(args.sets.split(",")) if args.sets else None
    entries = choose(find_entries(args.data, args.split, sets), args.photos)
    segmenters: list[Segmenter] = [EngineSegmenter(args.model, args.device, args.weights, args.adapter)]
    datasets_run.claim_folder(args.out, datasets_run.identify(args.model, args.weights, args.adapter))
    if args.peers == "grabcut":
        segmenters.append(GrabCut())
    protocol, ending = (anywhere, "-anywhere") if args.anywhere else (clicks, "")
    results = {}
    for segmenter in segmenters:
        log = args.out / f"{segmenter.name.replace(' ', '-').lower()}{ending}.jsonl"
        for done, total in protocol.run_all(segmenter, entries, log):
            print(f"\r{segmenter.name}: {done} of {total} photos", end="", file=sys.stderr)
        print(file=sys.stderr)
        results[segmenter.name] = clicks.read_log(log)
    print(protocol.table(results))
    return 0


def _heads(args: argparse.Namespace) -> int:
    from sama_core.data.sets import choose, find_entries
    from sama_core.evaluation import head_answers
    from sama_core.weights import registry

    adapters = {"SAMA": registry.info(args.model).adapter}
    if args.adapters:
        adapters = {name: Path(file) for name, _, file in (each.partition("=") for each in args.adapters)}
    counts = tuple(int(count) for count in args.clicks.split(","))
    contest = head_answers.Contest(args.model, args.device, adapters, counts)
    if args.data:
        rows = []
        for row in contest.masks(choose(find_entries(args.data, "val"), args.photos)):
            rows.append(row)
            print(f"\r{row.photo}\033[K", end="", file=sys.stderr)
        print("\n" + head_answers.table(rows, mattes=False))
    if args.mattes:
        rows = []
        for row in contest.mattes(args.mattes, args.sheets):
            rows.append(row)
            print(f"\r{row.photo}\033[K", end="", file=sys.stderr)
        print("\n" + head_answers.table(rows, mattes=True))
    return 0


def _tables(args: argparse.Namespace) -> int:
    from sama_core.evaluation import tables

    if args.data is not None:
        _measure_sets(args)
    print(tables.render(tables.read_measured(args.out)))
    return 0


def _measure_sets(args: argparse.Namespace) -> None:
    from sama_core.evaluation import datasets_run
    from sama_core.inference.embedding_cache import EmbeddingCache
    from sama_core.inference.engine import Engine
    from sama_core.model.views import QUADRANTS

    found, missing = datasets_run.find_sets(args.data, args.sets.split(",") if args.sets else None)
    for name, why in missing.items():
        print(f"{name}: not measured. {why}", file=sys.stderr)
    if not found:
        return
    cache = EmbeddingCache(None, ram_entries=QUADRANTS + 1)
    engine = Engine(args.model, args.device, cache, args.weights, args.adapter)
    folder = args.out / args.variant
    datasets_run.claim_folder(folder, datasets_run.identify(args.model, args.weights, args.adapter))
    for benchmark, pairs in found:
        for done, total in datasets_run.run_set(engine, benchmark, datasets_run.spread(pairs, args.photos), folder):
            print(f"\r{benchmark.name}: {done} of {total} photos", end="", file=sys.stderr)
        print(file=sys.stderr)
