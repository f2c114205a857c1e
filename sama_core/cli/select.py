"""`sama select`: a soft selection as a grey picture."""

from __future__ import annotations

import argparse

from sama_core.cli import prompting

add_arguments = prompting.add_arguments


def run(args: argparse.Namespace) -> int:
    """Write the selection; return the exit status."""
    from sama_core.image_files import save_mask

    result = prompting.answer(args, lambda engine, prompt, progress: engine.select(prompt, progress=progress))
    save_mask(args.output, result.answer.alpha, result.image.dpi)
    prompting.report(args, result)
    return 0
