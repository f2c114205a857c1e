"""How wide the unknown band of the closed-form matte should be: SAD on photos with known alpha.

usage: python benchmarks/matte_band.py FOLDER      (FOLDER/images/NAME.* and FOLDER/alphas/NAME.png)

Three clicks of the robot user on each photo, then SAD/1000 over the whole picture of the model's mask, of the
selection, and of closed-form mattes in bands of half, once and twice the shipped width.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.data.simulated_user import next_click
from sama_core.images import Frame
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.matting import band_reach, closed_form, unknown_band
from sama_core.inference.upsampling import probability, select_alpha

WIDTHS = (0.5, 1.0, 2.0)
CLICKS = 3


def main() -> None:
    """Print a row for each photo and the mean, as Markdown."""
    parser = argparse.ArgumentParser(description="SAD of mattes by the width of the unknown band.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    engine = Engine(cache=EmbeddingCache(None, ram_entries=1))
    rows = []
    print("| photo | mask | selection | " + " | ".join(f"matte, band ×{w:g}" for w in WIDTHS) + " |")
    print("|---" * (3 + len(WIDTHS)) + "|")
    for path in sorted((folder / "images").iterdir()):
        rgb = np.asarray(Image.open(path).convert("RGB"))
        truth = np.asarray(Image.open(folder / "alphas" / f"{path.stem}.png").convert("L")) / 255
        rows.append(measure(engine, rgb, truth))
        print_row(path.stem, rows[-1])
    print_row("mean", np.mean(rows, axis=0))


def measure(engine: Engine, rgb: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return SAD/1000 of mask, selection and the mattes for one photo."""
    frame = Frame(rgb.shape[0], rgb.shape[1], 512)
    engine.set_image(rgb)
    logits = None
    selection = np.zeros(truth.shape, np.uint8)
    points, labels = [], []
    for _ in range(CLICKS):
        click = next_click(truth > 0.5, selection > 127, np.ones(truth.shape, bool))
        if click is not None:
            points.append(click[:2])
            labels.append(click[2])
        logits, _ = engine.predict_logits(Prompt(points, labels, low_res_logits=logits))
        selection = select_alpha(frame, logits, rgb)
    assert logits is not None
    mask = probability(frame, logits, rgb.shape[0], rgb.shape[1])
    mattes = [closed_form(rgb, mask, unknown_band(mask, width * band_reach(mask, len(logits)))) for width in WIDTHS]
    return [float(np.abs(alpha - truth).sum() / 1000) for alpha in (mask, selection / 255, *mattes)]


def print_row(name: str, values: list[float] | np.ndarray) -> None:
    """Print one row of the table."""
    print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
