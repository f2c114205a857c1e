"""Alphas for photos that have only masks: closed-form matting in a band around a good mask, kept in a folder.

`python -m sama_core.training.pseudo_alpha --data ROOT --sets ECSSD,CCP --out FOLDER --count N` fills the folder and
goes on where it stopped. Photos whose alpha strays from the mask are rejected and listed in FOLDER/rejected.txt.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import sparse

from sama_core.data.sets import Entry, find_entries, load_objects, load_rgb
from sama_core.training.compositing import Layer

#: The band reaches this far out of the mask, in pixels: a part for the mask's error, a part for hair, at most so much.
_REACH_ERROR, _REACH_HAIR, _REACH_MOST = 3.0, 0.04, 12.0
#: It reaches into the mask at most so far.
_REACH_INSIDE = 6.0
#: Weight of the mask in the solution at the edge, and how it grows with the square of the distance past `_FREE` pixels:
#: far out only what the colours say clearly is taken for hair, or the alpha frays into the background's texture.
_PRIOR, _PRIOR_GROWTH, _FREE = 1e-3, 0.03 / 9, 1.5
_EPSILON = 1e-5
#: Alphas this close to 0 or 1 are haze of the solver. A larger cut (0.2) makes hard edges 1 to 2 px wide instead of 3,
#: and teaches a head that begins at the solver's matte to sharpen hair: its Grad was 8 % above the solver's.
_HAZE = 0.04


@dataclass(frozen=True)
class Straying:
    """How an alpha departs from the mask it came from; areas in pixels per pixel of the mask's edge.

    Attributes:
        outside: alpha more than 2.5 px outside the mask in patches at least 5 px wide; hair is thinner.
        inside: the same of missing alpha inside the mask.
        soft: pixels with an alpha of 0.1..0.9.
    """

    outside: float
    inside: float
    soft: float

    @property
    def acceptable(self) -> bool:
        """Whether the alpha may serve as a target; the limits were found by looking at a few hundred."""
        return self.outside < 0.04 and self.inside < 0.04 and self.soft < 5.0


def pseudo_alpha(rgb: np.ndarray, mask: np.ndarray) -> Layer:
    """Estimate the alpha and foreground colour of a masked object.

    Minimises αᵀLα + Σ λ(d)(α − mask)² over a band around the mask's edge (Levin et al. 2008 with a prior whose weight
    λ grows with the distance d from the edge), then the foreground by multi-level estimation (Germer et al. 2020).

    Args:
        rgb: H×W×3 uint8.
        mask: H×W uint8 0/1.

    Returns:
        A layer of the photo's size.
    """
    from pymatting import estimate_foreground_ml
    from pymatting.laplacian.cf_laplacian import cf_laplacian
    from pymatting.preconditioner.ichol import ichol
    from pymatting.solver.cg import cg

    inside, outside = _distances(mask)
    reach = min(_REACH_ERROR + _REACH_HAIR * float(np.sqrt(mask.sum())), _REACH_MOST)
    unknown = ((inside > 0) & (inside <= min(reach, _REACH_INSIDE))) | ((outside > 0) & (outside <= reach))
    alpha = mask.astype(np.float64)
    image = rgb.astype(np.float64) / 255
    if unknown.any():
        free = unknown.ravel()
        soft = cv2.GaussianBlur(alpha, (0, 0), 1.5).ravel()[free]
        distance = np.maximum(inside, outside).ravel()[free]
        weight = _PRIOR + _PRIOR_GROWTH * np.maximum(distance - _FREE, 0) ** 2
        rows = cf_laplacian(image, epsilon=_EPSILON, is_known=~unknown)[free]
        matrix = (rows[:, free] + sparse.diags(weight)).tocsc()
        right = weight * soft - rows[:, ~free] @ alpha.ravel()[~free]
        alpha[unknown] = cg(matrix, right, x0=soft, M=ichol(matrix), rtol=1e-4, maxiter=300)
        alpha = np.clip((alpha - _HAZE) / (1 - 2 * _HAZE), 0, 1)
    foreground = estimate_foreground_ml(image, alpha)
    return Layer(np.rint(np.clip(np.asarray(foreground), 0, 1) * 255).astype(np.uint8), alpha.astype(np.float32))


def straying(alpha: np.ndarray, mask: np.ndarray) -> Straying:
    """Measure how an alpha (H×W float32) departs from its mask (H×W uint8 0/1)."""
    inside, outside = _distances(mask)
    edge = max(int(((inside > 0) & (inside < 1.5)).sum()), 1)
    patch = np.ones((5, 5), np.uint8)

    def patches(stray: np.ndarray) -> float:
        return float(cv2.morphologyEx(stray.astype(np.float32), cv2.MORPH_OPEN, patch).sum()) / edge

    return Straying(
        patches(np.where(outside > 2.5, alpha, 0)),
        patches(np.where(inside > 2.5, 1 - alpha, 0)),
        float(((alpha > 0.1) & (alpha < 0.9)).sum()) / edge,
    )


def _distances(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the other side in pixels, inside and outside of the mask; 0 on the side it is not for."""
    mask = mask.astype(np.uint8)
    if mask.all() or not mask.any():
        nowhere = np.full(mask.shape, np.inf)
        return np.where(mask > 0, nowhere, 0), np.where(mask > 0, 0, nowhere)
    return cv2.distanceTransform(mask, cv2.DIST_L2, 5), cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)


def is_stored(folder: Path, entry: Entry) -> bool:
    """Whether the folder holds a pseudo-alpha of this photo."""
    return _alpha_path(folder, entry).is_file()


def read(folder: Path, entry: Entry) -> Layer:
    """A stored pseudo-alpha and its decontaminated foreground, at the photo's size."""
    alpha = np.asarray(Image.open(_alpha_path(folder, entry))).astype(np.float32) / 255
    return Layer(load_rgb(_colour_path(folder, entry)), alpha)


def write(folder: Path, entry: Entry, layer: Layer) -> None:
    """Store a pseudo-alpha: 8-bit PNG, and its foreground as WebP; the alpha appears last, and whole."""
    alpha_path, colour_path = _alpha_path(folder, entry), _colour_path(folder, entry)
    alpha_path.parent.mkdir(parents=True, exist_ok=True)
    colour_path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(layer.colour).save(colour_path, quality=95)
    unfinished = alpha_path.with_suffix(".part")
    Image.fromarray(np.rint(layer.alpha * 255).astype(np.uint8)).save(unfinished, format="PNG")
    unfinished.replace(alpha_path)


def _alpha_path(folder: Path, entry: Entry) -> Path:
    return folder / entry.set_name / "alphas" / f"{entry.name}.png"


def _colour_path(folder: Path, entry: Entry) -> Path:
    return folder / entry.set_name / "foregrounds" / f"{entry.name}.webp"


def fill(folder: Path, entries: list[Entry]) -> tuple[int, int]:
    """Make the pseudo-alphas of `entries` that are neither stored nor rejected yet; returns how many of `entries` are
    stored and rejected in the end. An indexed mask gives its largest object."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / "rejected.txt"
    rejected = set(ledger.read_text().splitlines()) if ledger.exists() else set()
    stored = 0
    for entry in entries:
        title = f"{entry.set_name}/{entry.name}"
        if title in rejected:
            continue
        if not is_stored(folder, entry):
            objects = [mask for mask, _ in load_objects(entry)]
            layer = None
            if objects:
                mask = max(objects, key=lambda mask: int(mask.sum()))
                layer = pseudo_alpha(load_rgb(entry.image), mask)
                layer = layer if straying(layer.alpha, mask).acceptable else None
            if layer is None:
                rejected.add(title)
                with ledger.open("a") as file:
                    file.write(title + "\n")
                continue
            write(folder, entry, layer)
        stored += 1
    return stored, len(entries) - stored


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sama_core.training.pseudo_alpha", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv and the sets")
    parser.add_argument("--sets", default="ECSSD", help="names of sets, separated by commas, best masks first")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--count", type=int, default=None, help="photos to try of each set (default: all)")
    given = parser.parse_args()
    for name in given.sets.split(","):
        entries = find_entries(given.data, "train", (name,))[: given.count]
        stored, rejected = fill(given.out, entries)
        print(f"{name}: {stored} stored, {rejected} rejected", flush=True)


if __name__ == "__main__":
    main()
