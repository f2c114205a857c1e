"""What `select` and `matte` share: photo, clicks, device and model on the command line, and the way to an answer."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sama_core.image_files import LoadedImage
    from sama_core.inference.engine import Engine
    from sama_core.inference.request import Answer, Progress
    from sama_core.prompts import Prompt

DEVICES = ("auto", "cpu", "cuda", "mps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare photo, prompt, output, device and model."""
    from sama_core.weights.registry import DEFAULT, MODELS

    parser.add_argument("photo", type=Path, help="PNG, JPEG, TIFF, WebP, AVIF or HEIC file")
    prompt = parser.add_argument_group("what you want", "Pixels of the upright picture, from its top left corner.")
    prompt.add_argument(
        "--point", dest="clicks", metavar="X,Y", action="append", type=_include, help="a click on it; repeatable"
    )
    prompt.add_argument(
        "--exclude", dest="clicks", metavar="X,Y", action="append", type=_exclude, help="a click off it; repeatable"
    )
    prompt.add_argument("--box", metavar="LEFT,TOP,RIGHT,BOTTOM", type=_box, help="a box around it")
    prompt.add_argument("--mask", metavar="FILE", type=Path, help="a picture of the same size, white where it is")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help=".png, .tif or .webp")
    parser.add_argument("--model", choices=list(MODELS), default=DEFAULT)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: the fastest there is")


def _numbers(text: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise argparse.ArgumentTypeError(f"'{text}' is not {count} numbers with commas between, such as 812,440")
    return numbers


def _include(text: str) -> tuple[float, float, int]:
    x, y = _numbers(text, 2)
    return x, y, 1


def _exclude(text: str) -> tuple[float, float, int]:
    x, y = _numbers(text, 2)
    return x, y, 0


def _box(text: str) -> tuple[float, ...]:
    return _numbers(text, 4)


@dataclass(frozen=True)
class Result:
    """An answer, the photo it is about, and the seconds it took from reading the photo on."""

    image: LoadedImage
    answer: Answer
    began: float


def answer(args: argparse.Namespace, ask: Callable[[Engine, Prompt, Progress], Answer], channels: int = 1) -> Result:
    """Read the photo, check all that can be checked, load the model and `ask` it; tell notes on stderr.

    Args:
        args: the command line, parsed.
        ask: what is asked of the engine.
        channels: of what will be written: 1 for a mask or matte, 4 for a cut-out.

    Raises:
        SamaError: with what the user can do.
    """
    from sama_core.image_files import check_output, check_room, read_image, read_mask

    began = time.perf_counter()
    check_output(args.output, args.photo, args.mask)
    image = read_image(args.photo)
    height, width = image.rgb.shape[:2]
    check_room(args.output, height, width, channels)
    prompt = _prompt(args, None if args.mask is None else read_mask(args.mask))
    # Before the model is loaded: a click off the picture is known at once.
    prompt = prompt.validated(height, width)
    from sama_core import paths
    from sama_core.inference.engine import Engine

    # The engine caches in there, and does without where it cannot.
    with contextlib.suppress(OSError):
        paths.make_home()
    bar = ProgressLine()
    try:
        bar.show(0.0, "Loading the model")
        engine = Engine(model=args.model, device=args.device)
        engine.set_image(image.rgb, progress=bar.show)
        given = ask(engine, prompt, bar.show)
    finally:
        bar.clear()
    for note in [*image.notes, *given.notes]:
        print(f"sama: note: {note}", file=sys.stderr)
    return Result(image, given, began)


def _prompt(args: argparse.Namespace, mask) -> Prompt:
    from sama_core.prompts import Prompt

    clicks = args.clicks or []
    return Prompt(
        points=[(x, y) for x, y, _ in clicks], labels=[label for *_, label in clicks], box=args.box, mask=mask
    )


def report(args: argparse.Namespace, result: Result) -> None:
    """Print the one line that says what was written."""
    seconds = time.perf_counter() - result.began
    print(f"{args.output}  score {result.answer.score:.2f}  {result.answer.device}  {seconds:.1f} s")


class ProgressLine:
    """A line on the terminal that says how far the work is and is written over; nothing where stderr is no terminal.

    `show` has the shape of `inference.request.Progress`.
    """

    def __init__(self) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty()

    def show(self, fraction: float, text: str) -> None:
        """Write the line: how far the work is (0..1) and what is being done."""
        if self._on:
            print(f"\r\033[K{fraction:4.0%}  {text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._on:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
