"""Alphas for photos that have only masks: where they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sama_core.training.compositing import Layer
from sama_core.training.datasets import Entry, load_rgb


def is_stored(folder: Path, entry: Entry) -> bool:
    """Whether the folder holds a pseudo-alpha of this photo."""
    return _alpha_path(folder, entry).is_file()


def read(folder: Path, entry: Entry) -> Layer:
    """A stored pseudo-alpha and its decontaminated foreground, at the photo's size."""
    alpha = np.asarray(Image.open(_alpha_path(folder, entry))).astype(np.float32) / 255
    return Layer(load_rgb(_colour_path(folder, entry)), alpha)


def _alpha_path(folder: Path, entry: Entry) -> Path:
    return folder / entry.set_name / "alphas" / f"{entry.name}.png"


def _colour_path(folder: Path, entry: Entry) -> Path:
    return folder / entry.set_name / "foregrounds" / f"{entry.name}.webp"
