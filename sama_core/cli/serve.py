"""`sama serve`: the engine in the foreground."""

from __future__ import annotations

import argparse
import os

from sama_core.cli.prompting import DEVICES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama serve`."""
    parser.add_argument(
        "--device", choices=DEVICES, default=os.environ.get("SAMA_DEVICE", "auto"), help="default: the fastest there is"
    )
    parser.add_argument(
        "--idle", metavar="SECONDS", type=_seconds, help="leave after so long without a request (default: 900)"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Be the engine until Ctrl+C; return the exit status."""
    from sama_core.service.engines import real_engines
    from sama_core.service.lifecycle import serve

    if args.idle is not None:
        os.environ["SAMA_IDLE_SECONDS"] = str(args.idle)
    return serve(real_engines(args.device), detached=False)
