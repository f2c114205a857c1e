"""`sama info`: what a model is made of, and where its files are."""

from __future__ import annotations

import argparse

#: What the paper says SAMA adds to SAM (abstract; it names neither the backbone nor the count).
PAPER_RATIO = 1.8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama info`."""
    from sama_core.weights.registry import MODELS

    parser.add_argument("model", choices=list(MODELS), metavar="MODEL", help=", ".join(MODELS))


def run(args: argparse.Namespace) -> int:
    """Print the model's parameters and files; the weights need not be there."""
    import torch

    from sama_core.model.parameter_count import count_sam, count_sama
    from sama_core.weights import registry
    from sama_core.weights.adapter import read_adapter_info

    about = registry.info(args.model)
    adapter = read_adapter_info(about.adapter) if about.adapter.is_file() else None
    if adapter is not None:
        config, source = adapter.config, "as its adapter file says"
    else:
        config, source = about.sama, "as “sama train modules” would build it"
    with torch.device("meta"):
        sam = count_sam(about.build())
    sama = count_sama(config, about.early_channels)
    print(f"{about.name}: {about.title}. {about.summary}.")
    print(f"\nSAM, frozen{_number(sum(sam.values()), 29)}")
    _print_parts(sam)
    print(f"\nSAMA, added{_number(sum(sama.values()), 29)}   ({source})")
    _print_parts(sama)
    ratio = 100 * sum(sama.values()) / sum(sam.values())
    print(f"\nadded / SAM: {ratio:.2f} %   (the paper says {PAPER_RATIO} %, and not for which backbone)")
    present = f"{about.weights.stat().st_size / 1e6:.1f} MB" if about.weights.is_file() else "not there"
    print(f"\nweights: {about.weights} ({present}, {about.licence})")
    if not about.weights.is_file():
        print(about.remedy)
    if adapter is None:
        print(f"adapter: {about.adapter} (not there; “sama train modules” makes one)")
    else:
        print(f"adapter: {about.adapter} ({about.adapter.stat().st_size / 1e6:.1f} MB)")
        print(f"trained on {adapter.backbone} with weights of SHA-256 {adapter.backbone_sha256}")
        for name, value in adapter.training.items():
            print(f"  {name}: {value}")
    return 0


def _print_parts(parts: dict[str, int]) -> None:
    for name, count in parts.items():
        print(f"  {name:<22}{_number(count, 16)}")


def _number(count: int, width: int) -> str:
    return f"{count:{width},}".replace(",", " ")
