"""Arguments of `sama train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sama_core.training.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama train`."""
    defaults = TrainConfig()
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv and SET/images, SET/masks")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run; a run found there is resumed")
    parser.add_argument(
        "--start", type=Path, help="weights to start from (safetensors) instead of the ImageNet start alone"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--images", type=int, default=defaults.images, help="photos in a step")
    parser.add_argument("--prompts", type=int, default=defaults.prompts, help="objects in a photo")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--seed", type=int, default=defaults.seed)


def run(args: argparse.Namespace) -> int:
    """Train, and write `ema.safetensors` into the run's folder."""
    from sama_core.training.datasets import find_entries
    from sama_core.training.loop import Trainer

    config = TrainConfig(
        steps=args.steps,
        images=args.images,
        prompts=args.prompts,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    entries = find_entries(args.data, "train")
    print(f"{len(entries)} photos, {config.steps} steps of {config.images}×{config.prompts} prompts, log in {args.run}")
    Trainer(entries, config, args.run, args.device, args.start).run()
    return 0
