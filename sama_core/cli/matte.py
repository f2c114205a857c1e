"""`sama matte`: a cut-out with transparency, or the matte alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sama_core.cli import prompting

if TYPE_CHECKING:
    import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama matte`."""
    prompting.add_arguments(parser)
    parser.add_argument("--alpha-only", action="store_true", help="write the matte as a grey picture")
    parser.add_argument(
        "--decontaminate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="clean the background's colour from the cut-out's edge (default: yes)",
    )
    parser.add_argument(
        "--method",
        choices=("closed-form", "head"),
        default="closed-form",
        help="closed-form matting around the selection's edge, or SAMA's matting head (default: closed-form)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the cut-out or the matte; return the exit status."""
    from sama_core.image_files import save_cutout, save_mask

    clean = args.decontaminate and not args.alpha_only
    result = prompting.answer(
        args,
        lambda engine, prompt, progress: engine.matte(
            prompt, decontaminate=clean, progress=progress, method=args.method
        ),
    )
    answer, image = result.answer, result.image
    if args.alpha_only:
        save_mask(args.output, answer.alpha)
    else:
        colours = image.rgb if answer.foreground is None else answer.foreground
        save_cutout(args.output, colours, _with_transparency(answer.alpha, image.alpha))
    prompting.report(args, result)
    return 0


def _with_transparency(matte: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Return the matte (H×W uint8) times the transparency the photo had, as applying a layer mask does."""
    import numpy as np

    if before is None:
        return matte
    return ((matte.astype(np.uint16) * before + 127) // 255).astype(np.uint8)
