"""Blocks of strongly compressed pictures in mattes: steps of alpha at the borders of blocks over its other steps.

usage: python benchmarks/jpeg_blocks.py [FOLDER] [--names GT06 ...] [--side 500] [--quality 45]

Without FOLDER the demo photo is clicked on in its middle. FOLDER has images/NAME.* and alphas/NAME.png; there the robot
user clicks three times, and SAD and Grad, in thousands, are those of the matte beside the true alpha. Each photo is
scaled to the side, compressed with colours halved, and matted as it was before, as if nobody looked for blocks, and as
it is. 1 means no blocks; how far a photo's own contents are from 1 tells the first row.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.data.simulated_user import next_click
from sama_core.evaluation.matting_metrics import matting_errors
from sama_core.inference.embedding_cache import EmbeddingCache

DEMO = Path(__file__).resolve().parents[1] / "demo" / "photos" / "chelsea.png"
_CLICKS = 3


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Blocks of strongly compressed pictures in mattes.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--side", type=int, default=500)
    parser.add_argument("--quality", type=int, default=45)
    args = parser.parse_args()
    print("| photo | | columns, 16 | columns, 8 | rows, 16 | rows, 8 | SAD | Grad |\n" + "|---" * 8 + "|", flush=True)
    engine = Engine("lite", "cpu", EmbeddingCache(None))
    for name, rgb, truth in photos(args.folder, args.names, args.side):
        prompt = clicks(engine, rgb, truth)
        small = compressed(rgb, args.quality)
        print_row(name, "before compression", matte(engine, rgb, prompt), truth)
        with mock.patch("sama_core.inference.picture.find_grid", lambda rgb: None):
            print_row(name, "compressed, blocks ignored", matte(engine, small, prompt), truth)
        print_row(name, "compressed", matte(engine, small, prompt), truth)


def photos(folder: Path | None, names: list[str] | None, side: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, H×W×3 uint8 and true alpha H×W uint8 of each photo; an alpha of no pixels where it is not known."""
    for path in [DEMO] if folder is None else sorted((folder / "images").iterdir()):
        if names and path.stem not in names:
            continue
        image = Image.open(path).convert("RGB")
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        truth = np.zeros((0, 0), np.uint8)
        if folder is not None:
            alpha = Image.open(folder / "alphas" / f"{path.stem}.png").convert("L")
            truth = np.asarray(alpha.resize(image.size, Image.Resampling.BOX))
        yield path.stem, np.asarray(image), truth


def clicks(engine: Engine, rgb: np.ndarray, truth: np.ndarray) -> Prompt:
    """The robot user's clicks on a photo, or its middle."""
    if not truth.size:
        return Prompt([(rgb.shape[1] / 2, rgb.shape[0] / 2)], [1])
    engine.set_image(rgb)
    points, labels = [], []
    answer = np.zeros(truth.shape, bool)
    for _ in range(_CLICKS):
        click = next_click(truth > 127, answer, np.ones(truth.shape, bool))
        if click is None:
            break
        points.append(click[:2])
        labels.append(click[2])
        answer = engine.select(Prompt(list(points), list(labels))).alpha > 127
    return Prompt(points, labels)


def compressed(rgb: np.ndarray, quality: int) -> np.ndarray:
    """The photo after JPEG with colours halved both ways."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file).convert("RGB"))


def matte(engine: Engine, rgb: np.ndarray, prompt: Prompt) -> np.ndarray:
    """A matte of a photo that the engine has not seen."""
    engine.set_image(np.zeros((1, 1, 3), np.uint8))
    engine._cache = EmbeddingCache(None)
    engine.set_image(rgb)
    return engine.matte(prompt).alpha


def print_row(name: str, state: str, alpha: np.ndarray, truth: np.ndarray) -> None:
    """Print the ratios, and the errors where the truth is known."""
    ratios = [step_ratio(alpha, period, axis) for axis in (1, 0) for period in (16, 8)]
    errors = matting_errors(alpha, truth) if truth.size else None
    cells = [f"{ratio:.2f}" for ratio in ratios] + ([f"{errors.sad:.2f}", f"{errors.grad:.2f}"] if errors else ["", ""])
    print(f"| {name} | {state} | " + " | ".join(cells) + " |", flush=True)


def step_ratio(alpha: np.ndarray, period: int, axis: int) -> float:
    """Mean absolute step of alpha along an axis at multiples of `period` over the mean of the other steps."""
    steps = np.abs(np.diff(alpha.astype(np.float64), axis=axis)).mean(1 - axis)
    border = np.arange(1, len(steps) + 1) % period == 0
    return float(steps[border].mean() / steps[~border].mean())


if __name__ == "__main__":
    main()
