"""Select of a small thing in a large photo: one click, without and with the looks near a doubted answer's click.

usage: python benchmarks/small_things.py DATA [--photos 1] [--sizes 120 300 1200] [--scene 9000 6000] [--model lite]

DATA has split.csv. The largest object of each held-out photo is scaled to a size, its longer side in pixels, and laid
over a generated scene of coloured noise in four grain sizes; the click is deep inside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from sama_core import Engine, Prompt
from sama_core.data.sets import choose, find_entries, largest_object, load_rgb
from sama_core.evaluation.metrics import iou
from sama_core.inference.embedding_cache import EmbeddingCache

_GRAINS = 4, 16, 64, 256


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Select of a small thing in a large photo.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=1, help="of each set")
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 300, 1200])
    parser.add_argument("--scene", type=int, nargs=2, default=[9000, 6000], help="width and height")
    parser.add_argument("--model", default="lite")
    args = parser.parse_args()
    engine = Engine(args.model, cache=EmbeddingCache(None))
    print("| thing | objects | IoU without | IoU with |\n|---|---|---|---|")
    for size in args.sizes:
        rows = []
        for number, entry in enumerate(choose(find_entries(args.data, "val"), args.photos)):
            target = largest_object(entry)
            if target is None:
                continue
            rng = np.random.default_rng((size, number))
            picture, truth, click = laid_over(
                scene(args.scene[0], args.scene[1], rng), load_rgb(entry.image), target[0], size, rng
            )
            engine.set_image(picture)
            known = np.ones_like(truth)
            with mock.patch("sama_core.inference.engine.is_doubted", return_value=False):
                without = iou(engine.select(Prompt([click], [1])).alpha > 127, truth, known)
            rows.append((without, iou(engine.select(Prompt([click], [1])).alpha > 127, truth, known)))
        print(
            f"| {size} px | {len(rows)} | " + " | ".join(f"{mean:.3f}" for mean in np.mean(rows, 0)) + " |", flush=True
        )


def scene(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Coloured noise: height×width×3 uint8."""
    total = np.full((height, width, 3), 120, np.float32)
    for grain in _GRAINS:
        noise = rng.uniform(-40, 40, (height // grain + 2, width // grain + 2, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 255).astype(np.uint8)


def laid_over(
    picture: np.ndarray, rgb: np.ndarray, mask: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """A scene with an object somewhere in it, where it lies (H×W bool), and a click deep inside it."""
    ys, xs = np.nonzero(mask)
    cut = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    high, wide = mask[cut].shape
    scale = size / max(high, wide)
    shape = max(2, round(wide * scale)), max(2, round(high * scale))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    thing = cv2.resize(rgb[cut], shape, interpolation=smooth)
    alpha = cv2.resize(mask[cut].astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    depth = cv2.distanceTransform(np.pad((alpha > 0.5).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    top, left = (int(rng.integers(size, side - 2 * size)) for side in picture.shape[:2])
    place = np.s_[top : top + shape[1], left : left + shape[0]]
    covered = alpha[..., None]
    picture[place] = np.rint(covered * thing + (1 - covered) * picture[place]).astype(np.uint8)
    truth = np.zeros(picture.shape[:2], bool)
    truth[place] = alpha > 0.5
    return picture, truth, (left + float(x) + 0.5, top + float(y) + 0.5)


if __name__ == "__main__":
    main()
