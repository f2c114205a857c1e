"""`sama matte`: a cut-out with transparency, or the matte alone."""

from __future__ import annotations

import argparse

from sama_core.cli import prompting
from sama_core.matte_methods import DEFAULT, METHODS


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
        choices=METHODS,
        default=DEFAULT,
        help="how alpha is found around the selection's edge: by the learned refiner with closed-form matting, by "
        f"closed-form matting alone, or by SAMA's matting head (default: {DEFAULT})",
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
        channels=1 if args.alpha_only else 4,
    )
    answer, image = result.answer, result.image
    if args.alpha_only:
        save_mask(args.output, answer.alpha, image.dpi)
    else:
        save_cutout(args.output, *answer.cutout(image.rgb, image.alpha), image.dpi)
    prompting.report(args, result)
    return 0
