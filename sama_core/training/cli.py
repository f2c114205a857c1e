"""Arguments of `sama train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sama_core.training.config import TrainConfig

if TYPE_CHECKING:
    from sama_core.model.sama import Task
    from sama_core.training.sama_config import SamaTrainConfig
    from sama_core.training.sama_loop import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama train`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    defaults = TrainConfig()
    small = what.add_parser("small-sam", help="the bundled promptable SAM, on photos and masks")
    small.add_argument("--data", type=Path, required=True, help="folder with split.csv and SET/images, SET/masks")
    small.add_argument("--run", type=Path, required=True, help="folder of this run; a run found there is resumed")
    small.add_argument(
        "--start", type=Path, help="weights to start from (safetensors) instead of the ImageNet start alone"
    )
    small.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    small.add_argument("--steps", type=int, default=defaults.steps)
    small.add_argument("--images", type=int, default=defaults.images, help="photos in a step")
    small.add_argument("--prompts", type=int, default=defaults.prompts, help="objects in a photo")
    small.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    small.add_argument("--seed", type=int, default=defaults.seed)
    modules = what.add_parser(
        "modules",
        help="SAMA's modules on a frozen SAM; under torchrun on several devices",
        description="Train SAMA's modules on a frozen SAM and write them as an adapter file.",
    )
    modules.add_argument("--config", type=Path, required=True, help="the recipe, a TOML file")
    modules.add_argument("--run", type=Path, required=True, help="folder of this run; a run found there is resumed")
    modules.add_argument("--data", type=Path, help="folder with split.csv: masks, and drawn alphas over its photos")
    modules.add_argument("--alphas", type=Path, help="pseudo-alphas of those photos (sama_core.training.pseudo_alpha)")
    modules.add_argument(
        "--set", dest="sets", type=Path, action="append", help="folder of a public data set; repeatable"
    )
    modules.add_argument(
        "--backgrounds", type=Path, action="append", help="folder of photos to composite foregrounds over; repeatable"
    )
    modules.add_argument("--weights", type=Path, help="weights of the frozen SAM instead of the model's own")
    modules.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    modules.add_argument("--out", type=Path, required=True, help="the adapter file to write at the end (.safetensors)")


def run(args: argparse.Namespace) -> int:
    """Train, and write the averaged weights."""
    return {"small-sam": _small_sam, "modules": _modules}[args.what](args)


def _small_sam(args: argparse.Namespace) -> int:
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


def _modules(args: argparse.Namespace) -> int:
    import os

    import torch

    from sama_core.inference import device as devices
    from sama_core.model import registry
    from sama_core.training.config_file import load_config
    from sama_core.training.sama_config import SamaTrainConfig
    from sama_core.training.sama_loop import SamaTrainer
    from sama_core.weights.adapter import save_adapter

    config = load_config(args.config, SamaTrainConfig)
    device = devices.choose(args.device)
    if "LOCAL_RANK" in os.environ:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    sam, sha256 = registry.load(config.model, args.weights)
    trainer = SamaTrainer(sam, _sources(args, config, 2 * sam.input_size), config, args.run, device)
    trainer.run()
    if trainer.rank == 0:
        modules = trainer.model.sama
        modules.load_state_dict(trainer.ema)
        sets = [str(path.name) for path in [*([args.data] if args.data else []), *(args.sets or [])]]
        save_adapter(
            modules, args.out, config.model, sha256, {"steps": trainer.step, "seed": config.seed, "data": sets}
        )
        print(f"{args.out}  {trainer.step} steps")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0


def _sources(args: argparse.Namespace, config: SamaTrainConfig, fine_size: int) -> dict[Task, Source]:
    """One source for each task of the recipe; a task with several gets a mixture.

    Raises:
        ConfigError: a task has no data.
    """
    from sama_core.errors import ConfigError
    from sama_core.training.datasets import find_entries
    from sama_core.training.external import DataSet, make_sources
    from sama_core.training.samples import MattingSource, SegmentationSource

    sources: dict[Task, Source] = {}
    sources.update(
        make_sources([DataSet(root) for root in args.sets or []], args.backgrounds or [], fine_size, config.target_side)
    )
    if args.data is not None:
        entries = find_entries(args.data, "train")
        sources.setdefault("segmentation", SegmentationSource(entries, fine_size, config.target_side))
        sources.setdefault("matting", MattingSource(entries, args.alphas, fine_size, config.target_side))
    missing = [task for task in config.tasks if task not in sources]
    if missing:
        raise ConfigError(f"There is no data for {missing[0]}. Name some with --set or --data.")
    return {task: sources[task] for task in config.tasks}
