"""`sama batch`: many photos, by prompts in a file, here or on a cluster."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sama_core.cli import prompting

if TYPE_CHECKING:
    from collections.abc import Generator

    from sama_core.batch.job import Batch, Line
    from sama_core.batch.worker import MakeEngine, Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama batch`."""
    from sama_core.weights.registry import DEFAULT, MODELS

    parser.add_argument("folder", type=Path, help="folder of the photos")
    parser.add_argument(
        "--prompts", type=Path, required=True, metavar="FILE", help="what to cut out of which photo: JSON"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for what is made")
    parser.add_argument(
        "--jobs", type=_count, metavar="N", help="photos at a time (default: 1, on a cluster all it has)"
    )
    parser.add_argument("--force", action="store_true", help="make again what is done already")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on this Ray cluster; “local” starts one here")
    parser.add_argument("--model", choices=list(MODELS), default=DEFAULT)
    parser.add_argument("--device", choices=prompting.DEVICES, default="auto", help="default: the fastest there is")
    parser.add_argument("--json", action="store_true", help="print the report, for programs")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 1024")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Work on the photos; return 0 if all are done, 1 if some failed."""
    from sama_core.batch.worker import make_product_engine

    # Ray's workers share each machine among those that are there.
    here = 1 if args.ray else args.jobs or 1
    return run_with(args, functools.partial(make_product_engine, args.model, args.device, here))


def run_with(args: argparse.Namespace, make_engine: MakeEngine) -> int:
    """`run` with an engine of the caller's."""
    from sama_core.batch.job import REPORT, Batch, model_version
    from sama_core.batch.prompts_file import read_prompts
    from sama_core.cli import INTERRUPTED

    prompts = read_prompts(args.prompts)
    tell = _Teller(len(prompts), quiet=args.json)
    ended = "stopped"
    with Batch(
        args.folder, prompts, args.prompts.absolute().parent, args.output, model_version(args.model), args.force, tell
    ) as batch:
        try:
            outcomes = _outcomes(args, batch, make_engine)
            try:
                batch.run(outcomes)
            finally:
                outcomes.close()
            ended = "whole"
        except KeyboardInterrupt:
            tell.clear()
            print("sama: Stopped; what is done is kept. The same command goes on from there.", file=sys.stderr)
        finally:
            tell.clear()
            report = batch.report(ended)
    if args.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        counts = f"{report['done']} done, {report['kept']} kept from before, {report['failed']} failed"
        left = f", {report['open']} open" if report["open"] else ""
        print(f"{counts}{left}; see {args.output / REPORT}")
    if ended == "stopped":
        return INTERRUPTED
    return 1 if report["failed"] else 0


def _outcomes(args: argparse.Namespace, batch: Batch, make_engine: MakeEngine) -> Generator[Outcome, None, None]:
    if args.ray:
        from sama_core.batch.ray_cluster import run_on_ray

        return run_on_ray(list(batch.tasks()), make_engine, args.ray, args.jobs, args.device)
    from sama_core.batch.processes import run_in_processes

    return run_in_processes(batch.tasks(), make_engine, args.jobs or 1)


class _Teller:
    """Says what becomes of each photo: failures on stderr, the rest on stdout, how far it is on the terminal."""

    def __init__(self, total: int, quiet: bool) -> None:
        from sama_core.cli.prompting import ProgressLine

        self._total, self._quiet, self._line, self._count = total, quiet, ProgressLine(), 0
        self.clear = self._line.clear
        self._show()

    def __call__(self, line: Line) -> None:
        self._count += 1
        self._line.clear()
        if line.status == "failed":
            print(f"sama: {line.photo}: {line.error}", file=sys.stderr)
        elif not self._quiet:
            made = (
                f"score {line.score:.2f}  {line.device}  {line.seconds:.1f} s" if line.score is not None else "is there"
            )
            print(f"{line.photo} -> {line.output}  {made}", flush=True)
            for note in line.notes:
                print(f"sama: note: {line.photo}: {note}", file=sys.stderr)
        self._show()

    def _show(self) -> None:
        self._line.show(self._count / self._total, f"{self._count} of {self._total} photos")
