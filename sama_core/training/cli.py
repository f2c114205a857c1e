"""Arguments of `sama train`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sama_core.cli import INTERRUPTED
from sama_core.errors import ConfigError

if TYPE_CHECKING:
    from sama_core.training.config import RunConfig
    from sama_core.training.trainer import Trainer

C = TypeVar("C", bound="RunConfig")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama train`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    small = what.add_parser("small-sam", help="the bundled promptable SAM, on photos and masks")
    _add_common(small)
    small.add_argument(
        "--start", type=Path, help="weights to start from (safetensors) instead of the ImageNet start alone"
    )
    small.add_argument("--photos", type=int, help="photos in a step")
    small.add_argument("--data-share", type=float, help="share of the photos to train on")
    small.add_argument("--questions", type=int, help="how many of the four each photo is asked in a step")
    small.add_argument(
        "--sets",
        type=_weights,
        metavar="SET[=WEIGHT],…",
        help="sets to train on, and how often their photos are shown (default: all, once an epoch)",
    )
    small.add_argument(
        "--frozen",
        type=lambda text: tuple(text.split(",")),
        metavar="PREFIX,…",
        help="parts of the ImageNet body that are not trained (default: its first layers)",
    )
    small.add_argument(
        "--check-photos",
        type=int,
        help="held-out photos to measure at every checkpoint, to keep the best weights (default: all, at the end)",
    )
    refiner = what.add_parser("refiner", help="the network that refines a matte's edge, on drawn objects")
    _add_common(refiner)
    refiner.add_argument("--batch", type=int, help="examples of a step")
    refiner.add_argument("--crop", type=int, help="side of an example: a multiple of 32, at most 320")
    refiner.add_argument("--pool", type=int, help="drawings kept on the device, 5.9 MB each")
    modules = what.add_parser(
        "modules",
        help="SAMA's modules on a frozen SAM; under torchrun on several devices",
        description="Train SAMA's modules on a frozen SAM. Ctrl-C saves; the same command goes on.",
    )
    modules.add_argument(
        "--config", required=True, help="the recipe: a TOML file, or the name of one that ships (paper-vit-l, lite)"
    )
    modules.add_argument("--run", type=Path, required=True, help="folder of this run; a run found there is resumed")
    modules.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    modules.add_argument("--start", type=Path, metavar="ADAPTER", help="adapter to start from, as far as it fits")
    modules.add_argument("--export", type=Path, metavar="FILE", help="adapter file to write when all steps are done")
    modules.add_argument("--weights", type=Path, help="weights of the frozen SAM instead of the model's own")
    export = what.add_parser(
        "export",
        help="a run's averaged weights as an adapter file",
        description="Write the averaged weights of a run's last checkpoint as an adapter file.",
    )
    export.add_argument("--run", type=Path, required=True, help="folder of the run")
    export.add_argument("--out", type=Path, required=True, help="the adapter file to write (.safetensors)")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.description = f"Train {parser.prog.rpartition(' ')[2]}. Ctrl-C saves; the same command goes on."
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv and SET/images, SET/masks")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run; a run found there is resumed")
    parser.add_argument("--config", help="the recipe, a TOML file; the options below count instead of what it says")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda (default: cpu)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, help="end by the clock instead of by steps")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--warmup", type=int, help="steps in which the rate rises")
    parser.add_argument("--checkpoint-every", type=int, help="steps")
    parser.add_argument("--workers", type=int, help="processes that prepare batches")
    parser.add_argument("--seed", type=int)


def run(args: argparse.Namespace) -> int:
    """Train or export; returns the exit status."""
    absent = [name for name in ("cv2", "pydantic", "tensorboard") if find_spec(name) is None]
    if absent:
        raise ConfigError(f"Training needs {absent[0]}, which is not installed: pip install 'sama-gimp[train]'.")
    return {"small-sam": _small_sam, "modules": _modules, "refiner": _refiner, "export": _export}[args.what](args)


def _small_sam(args: argparse.Namespace) -> int:
    from sama_core.data.photo_store import PhotoFiles, PhotoStore
    from sama_core.data.sets import choose, find_entries, weighted
    from sama_core.inference import device as devices
    from sama_core.model.backbones.lite import LiteBackbone
    from sama_core.training.config import SmallSamConfig
    from sama_core.training.small_sam import CURVE, SmallSam
    from sama_core.training.trainer import Trainer

    config, size, device = _config(args, SmallSamConfig), LiteBackbone.input_size, devices.choose(args.device)
    sets = tuple(config.sets) or None
    entries = weighted(find_entries(args.data, "train", sets), config.sets)
    # a GPU draws faster than photos are read; a CPU would have to hold them in memory for nothing
    photos = PhotoFiles(entries, size) if device.type == "cpu" else PhotoStore.load(entries, size).to(device)
    held_out_entries, held_out = find_entries(args.data, "val", sets), None
    # all held-out photos would take a CPU longer than the training
    if config.check_photos:
        of_sets = len({entry.set_name for entry in held_out_entries})
        held_out = PhotoStore.load(choose(held_out_entries, -(-config.check_photos // of_sets)), size)
    task = SmallSam(photos, config, device, args.start, held_out)
    trainer = Trainer(task, config, args.run, device)
    print(f"{len(photos)} photos, {config.photos} in a step")
    if not _train(trainer):
        return INTERRUPTED
    held_out = held_out or PhotoStore.load(held_out_entries, size)
    curve = task.curve(trainer.ema, held_out).mean(0)
    figures = ", ".join(f"{curve[count - 1]:.4f} after {count}" for count in CURVE)
    print(f"Step {trainer.step}; mean IoU on the grid, of {len(held_out)} held-out photos: {figures} clicks.")
    return 0


def _modules(args: argparse.Namespace) -> int:
    from sama_core.training import distributed
    from sama_core.training.config import ModulesConfig
    from sama_core.training.modules import Modules, Provenance, start_from
    from sama_core.training.sama_data import open_sources
    from sama_core.training.trainer import Trainer
    from sama_core.weights import registry

    config = _config(args, ModulesConfig)
    with distributed.joined(args.device) as device:
        first = distributed.rank_and_count()[0] == 0
        sam, sha256 = registry.load(config.model, args.weights)
        sources, supplies = open_sources(config, 2 * sam.input_size)
        start, start_name = None, ""
        if args.start is not None and not (args.run / "last.pt").exists():
            start_name = args.start.name
            start, anew = start_from(args.start, config, sam.backbone.early_channels, sha256)
            if anew and first:
                print(f"{args.start} lacks {len(anew)} of {len(start)} tensors, which begin anew: {', '.join(anew)}")
        data: list[dict[str, str | int]] = [
            {"set": name, "split": supply.split, "task": supply.task, "targets": targets}
            for supply in supplies
            for name, targets in supply.sets.items()
        ]
        task = Modules(sam, sources, config, device, start, Provenance(sha256, data, start_name))
        trainer = Trainer(task, config, args.run, device)
        if first:
            for row in data:
                print(f"{row['task']}: {row['targets']} targets of {row['set']} {row['split']}")
        done = _train(trainer)
    if first and done and args.export is not None:
        trainer.export(args.export)
        print(f"{args.export}  {trainer.step} steps")
    return 0 if done else INTERRUPTED


def _refiner(args: argparse.Namespace) -> int:
    from sama_core.data.sets import find_entries
    from sama_core.inference import device as devices
    from sama_core.training.config import RefinerConfig
    from sama_core.training.refiner import Refiner
    from sama_core.training.trainer import Trainer

    config, device = _config(args, RefinerConfig), devices.choose(args.device)
    trainer = Trainer(Refiner(find_entries(args.data, "train"), config, device), config, args.run, device)
    if not _train(trainer):
        return INTERRUPTED
    print(f"{args.run / 'ema.safetensors'}  {trainer.step} steps")
    return 0


def _export(args: argparse.Namespace) -> int:
    from sama_core.training.modules import export_run

    print(f"{args.out}  {export_run(args.run, args.out)} steps")
    return 0


def _config(args: argparse.Namespace, cls: type[C]) -> C:
    """The recipe, with what the command line says instead of it."""
    from sama_core.training.config_file import load_config, parse_config

    given = {name: value for name in cls.model_fields if (value := getattr(args, name, None)) is not None}
    if "seconds" in given and "steps" not in given:
        # by the clock, whatever number of steps that makes
        given["steps"] = 0
    if args.config is None:
        return parse_config("", cls, "The command line", **given)
    return load_config(_recipe(args.config), cls, **given)


def _train(trainer: Trainer) -> bool:
    """Train, and say from where to where."""
    config, first = trainer.config, trainer.rank == 0
    ends = [f"{config.steps}"] * bool(config.steps) + [f"{config.seconds:.0f} s"] * bool(config.seconds)
    if first:
        print(f"Step {trainer.step} of {' or '.join(ends)} on {trainer.device}; log in {trainer.folder}", flush=True)
    done = trainer.run()
    if not done and first:
        print(f"Stopped after step {trainer.step}, saved in {trainer.folder}. The same command goes on from there.")
    return done


def _weights(text: str) -> dict[str, float]:
    """Read `NAME[=WEIGHT],…`."""
    parts = (part.partition("=") for part in text.split(","))
    try:
        weights = {name: float(weight or 1) for name, _, weight in parts}
    except ValueError:
        weights = {}
    if not weights or not all(name and 0 < weight <= 100 for name, weight in weights.items()):
        raise argparse.ArgumentTypeError(f"{text!r} is no list like FIRST,SECOND=0.5 with weights from 0 to 100")
    return weights


def _recipe(name: str) -> Path:
    """A recipe's file: the one of that path, or the shipped one of that name."""
    shipped = Path(__file__).parent / "recipes" / f"{name}.toml"
    return shipped if not Path(name).exists() and shipped.is_file() else Path(name)
