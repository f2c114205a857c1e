"""Memory of training SAMA on a frozen SAM ViT at 1024²: forward and backward of both tasks, random weights, CPU.

usage: python benchmarks/vit_memory.py [--model vit_b] [--chunk 1] [--precision float32] [--limit 16]

Prints the peak resident memory after each step, and exits with status 1 when it is over the limit. Needs no weights.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch

from sama_core.model.sama import TASKS, Sama, SamaModules, Task
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT
from sama_core.training.sama_losses import matting_loss, segmentation_loss
from sama_core.weights import registry

GB = 1e9


def main() -> int:
    """Make one training step of each task and print its memory, as Markdown."""
    parser = argparse.ArgumentParser(description="Peak memory of a training step of SAMA on a CPU.")
    models = [about.name for about in registry.MODELS.values() if about.optional]
    parser.add_argument("--model", choices=models, default="vit_b")
    parser.add_argument("--chunk", type=int, default=1, help="views encoded in one batch")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--limit", type=float, default=16.0, help="GB")
    args = parser.parse_args()
    torch.manual_seed(0)
    about = registry.info(args.model)
    sam = about.build()
    model = Sama(sam, SamaModules(about.sama, about.early_channels)).train()
    print(f"{args.model}, 1 picture of {sam.input_size}², {args.chunk} of 5 views at a time, {args.precision}\n")
    print("| step | CPU seconds | peak GB |")
    print("|---|---|---|")
    print(f"| model built | | {peak_memory() / GB:.2f} |", flush=True)
    for task in TASKS:
        began = time.process_time()
        train_step(model, task, args.chunk, args.precision)
        print(f"| {task} | {time.process_time() - began:.0f} | {peak_memory() / GB:.2f} |", flush=True)
    peak = peak_memory() / GB
    print(f"\npeak {peak:.2f} GB, {'under' if peak < args.limit else 'OVER'} the limit of {args.limit:g} GB")
    return 0 if peak < args.limit else 1


def train_step(model: Sama, task: Task, chunk: int, precision: str) -> None:
    """Forward and backward with the prompt of a box; checks where gradients arrive."""
    size = model.sam.input_size
    fine = torch.randn(1, 3, 2 * size, 2 * size)
    points = torch.tensor([[[200.0, 300.0], [800.0, 700.0]]])
    labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        features = model.encode(torch.nn.functional.avg_pool2d(fine, 2), fine, chunk=chunk)
        sparse, dense = model.sam.embed_prompts(points, labels, torch.zeros(1, 1, 256, 256), torch.tensor([False]))
        decoded = model.decode(task, features.embedding, model.local_tokens(features), sparse, dense)
    logits = torch.nn.functional.interpolate(decoded.logits, size=(size, size), mode="bilinear", align_corners=False)
    target = torch.zeros(1, 1, size, size)
    target[..., 300:700, 200:800] = 1
    loss = segmentation_loss if task == "segmentation" else matting_loss
    torch.stack(list(loss(logits, target, torch.ones_like(target)).values())).sum().backward()
    assert all(parameter.grad is None for parameter in model.sam.parameters())
    assert model.sama.mvle is not None
    assert any(parameter.grad is not None for parameter in model.sama.mvle.parameters())
    model.zero_grad(set_to_none=True)


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
