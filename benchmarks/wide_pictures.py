"""Select in very wide pictures: is a thing found as well as in a crop of its own?

usage: python benchmarks/wide_pictures.py [--model lite] [--ratios 4 11 40] [--height 1500]

A generated disk and the demo's cat lie in a wide generated scene; the IoU is that of the answer to one click in it and
of the answer to the same click in the crop that shows the thing alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.evaluation.metrics import iou
from sama_core.inference.embedding_cache import EmbeddingCache

CAT = Path(__file__).parents[1] / "demo/photos/chelsea.png"
#: Where the thing's middle lies, as a share of the scene's width.
_PLACE = 0.37


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Select in very wide pictures.")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--ratios", type=int, nargs="+", default=[4, 11, 40])
    parser.add_argument("--height", type=int, default=1500)
    args = parser.parse_args()
    engine = Engine(args.model, cache=EmbeddingCache(None))
    print("| thing | picture | crop looked at | IoU with its own crop |\n|---|---|---|---|")
    for ratio in args.ratios:
        for name, thing in (("disk", disk(args.height)), ("cat", cat(args.height))):
            width = ratio * args.height
            picture, left = scene(args.height, width), int(_PLACE * width - thing.shape[1] / 2)
            own = np.s_[:, left : left + thing.shape[1]]
            covered = thing[..., 3:].astype(np.float32) / 255
            picture[own] = (covered * thing[..., :3] + (1 - covered) * picture[own]).astype(np.uint8)
            # on the cat's face, and in the disk
            x, y = 0.5 * thing.shape[1], 0.6 * args.height
            alone, _ = select(engine, np.ascontiguousarray(picture[own]), (x, y))
            found, window = select(engine, picture, (left + x, y))
            whole = np.zeros_like(found)
            whole[own] = alone
            print(
                f"| {name} | {width}×{args.height} | {window} | {iou(found, whole, np.ones_like(found)):.4f} |",
                flush=True,
            )


def select(engine: Engine, rgb: np.ndarray, click: tuple[float, float]) -> tuple[np.ndarray, str]:
    """The answer to one click, H×W bool, and the size of the crop that it is from."""
    engine.set_image(rgb)
    answer = engine.select(Prompt([click], [1]))
    window = "none" if answer.window is None else f"{answer.window.width}×{answer.window.height}"
    return answer.alpha > 127, window


def scene(height: int, width: int) -> np.ndarray:
    """A blurred generated background: height×width×3 uint8."""
    coarse = np.random.default_rng(0).integers(0, 255, (max(2, height // 200), max(2, width // 200), 3))
    smooth = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return (0.35 * np.asarray(smooth, np.float32) + (70, 95, 110)).astype(np.uint8)


def disk(side: int) -> np.ndarray:
    """A striped disk with some room around it: side×side×4 uint8, RGBA."""
    y, x = np.mgrid[:side, :side]
    alpha = np.clip((0.42 * side - np.hypot(y - side / 2, x - side / 2)) / 3 + 0.5, 0, 1) * 255
    colours = 200 + 40 * np.sin(x / side * 25), 60 + 30 * np.cos(y / side * 18), np.full(x.shape, 50.0)
    return np.stack([*colours, alpha], -1).astype(np.uint8)


def cat(height: int) -> np.ndarray:
    """The demo's photo at this height: RGBA, opaque."""
    with Image.open(CAT) as photo:
        width = round(photo.width * height / photo.height)
        return np.asarray(photo.convert("RGBA").resize((width, height), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
