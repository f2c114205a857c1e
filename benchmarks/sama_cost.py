"""What SAMA costs beside stock SAM on the same backbone: seconds of encoding and decoding, and their ratios.

usage: python benchmarks/sama_cost.py [lite] [vit_b] [--repeats N]

Weights are random where there are none: they change no time. Stock is one global view and SAM's decoder (for ViT
`segment_anything`'s own predictor, explicit attention, float32); SAMA is five views in one batch and in chunks of one,
local tokens, decoder with Local-Adapters, and a head, in the precision that the engine would take. Medians of one run;
compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from sama_core.inference import device as devices
from sama_core.model.sam import PromptableSam
from sama_core.model.sama import Sama, SamaModules
from sama_core.prompts import INCLUDE, PAD
from sama_core.weights import registry


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of SAMA beside stock SAM.")
    parser.add_argument("models", nargs="*", default=["lite", "vit_b"])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, bfloat16 {'in hardware' if devices.has_bfloat16() else 'emulated'}")
    print("| model | step | s | of stock |\n|---|---|---|---|")
    with torch.inference_mode():
        for name in args.models:
            measure(name, args.repeats)


def measure(name: str, repeats: int) -> None:
    """Print the rows of one model."""
    torch.manual_seed(0)
    sam = registry.build(name).eval()
    sama = Sama(sam, SamaModules(registry.info(name).sama, sam.backbone.early_channels)).eval()
    side = sam.input_size
    fine = torch.rand(1, 3, 2 * side, 2 * side)
    x = torch.nn.functional.avg_pool2d(fine, 2)
    stock_encode, stock_decode = stock(name, sam, x)
    before = [median(stock_encode, repeats), median(stock_decode, repeats)]
    row(name, "stock: encode", before[0], before[0])
    row(name, "stock: decode", before[1], before[1])
    precision = next(devices.attempts(torch.device("cpu"))).autocast
    with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
        row(name, "SAMA: global view alone", median(lambda: sam.encode(x), repeats), before[0])
        row(name, "SAMA: five views, one batch", median(lambda: sama.encode(x, fine), repeats), before[0])
        row(name, "SAMA: five views, one by one", median(lambda: sama.encode(x, fine, chunk=1), repeats), before[0])
        features = sama.encode(x, fine)
        row(name, "SAMA: local tokens", median(lambda: sama.local_tokens(features), repeats), before[1])
        local = sama.local_tokens(features)
        prompt = prompt_of(sam)

        def decode() -> None:
            sparse, dense = sam.embed_prompts(*prompt)
            logits = sam.decode(features.embedding, sparse, dense, features.high_res).logits[:, :1]
            sama.decode("segmentation", features.embedding, local, sparse, dense, logits, prompt[0], prompt[1], fine)

        row(name, "SAMA: decode, stock answer included", median(decode, repeats), before[1])


def stock(name: str, sam: PromptableSam, x: torch.Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Encoding and decoding of stock SAM."""
    from segment_anything import SamPredictor, sam_model_registry

    if name not in sam_model_registry:
        features = sam.encode(x)
        prompt = prompt_of(sam)

        def decode() -> None:
            sparse, dense = sam.embed_prompts(*prompt)
            sam.decode(features.embedding, sparse, dense, features.high_res)

        return lambda: sam.encode(x), decode
    predictor = SamPredictor(sam_model_registry[name]().eval())
    picture = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3)).astype(np.uint8)
    point, label = np.array([[500.0, 500.0]]), np.array([1])
    predictor.set_image(picture)
    return lambda: predictor.set_image(picture), lambda: predictor.predict(point, label, multimask_output=False)


def prompt_of(sam: PromptableSam) -> list[torch.Tensor]:
    """One click in the middle."""
    middle = sam.input_size / 2
    return [
        torch.tensor([[[middle, middle], [0.0, 0.0]]]),
        torch.tensor([[INCLUDE, PAD]]),
        torch.zeros(1, 1, 256, 256),
        torch.tensor([False]),
    ]


def median(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, after one to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def row(name: str, step: str, seconds: float, of: float) -> None:
    print(f"| {name} | {step} | {seconds:.3f} | {seconds / of:.2f} |", flush=True)


if __name__ == "__main__":
    main()
