"""What finds alpha in the band: guided upsampling, closed-form matting and the learned refiner, side by side.

usage: python benchmarks/matte_methods.py FOLDER [--clicks 3] [--model lite] [--sheets OUT]

FOLDER has images/NAME.*, alphas/NAME.png and trimaps/NAME.png (or in a folder below trimaps/, of which the first is
used). Everything is asked twice: after the same clicks of the robot user, around the segmentation head's mask, as Matte
does; and with the true trimap, which tells how good a solver is when nothing else is wrong. The refiner is its network
and closed-form matting after it. Errors in thousands (MSE
too) over the whole picture and in the trimap's unknown region; seconds without encoding and decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sama_core.data.sets import load_rgb
from sama_core.evaluation.head_answers import Contest
from sama_core.evaluation.matting_metrics import UNKNOWN, matting_errors
from sama_core.images import Frame
from sama_core.inference.guided import apply_linear, fit_guided
from sama_core.inference.matting import closed_form, matte_alpha
from sama_core.inference.refining import Coarse, network_solver, polish, refine, refined_alpha
from sama_core.inference.upsampling import guided_matte, probability
from sama_core.weights.files import load_refiner
from sama_core.weights.registry import MODELS

#: Guided filter of the trimap, 0.5 where it is unknown: radius and regularisation, the best of 4, 8, 16 and 32 pixels.
_RADIUS, _EPSILON = 16, 1e-5
_COLUMNS = ("sad", "mse", "grad", "conn", "sad_unknown", "grad_unknown", "conn_unknown", "seconds")

Rows = dict[str, dict[str, dict[str, float]]]


def main() -> None:
    """Print the means, and SAD and Grad of each photo, as Markdown."""
    parser = argparse.ArgumentParser(description="Ways to find alpha in a band, side by side.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--sheets", type=Path, help="folder for the mattes, NAME_METHOD.png")
    args = parser.parse_args()
    contest = Contest(args.model, "cpu", {"SAMA": MODELS[args.model].adapter}, (args.clicks,))
    solver = network_solver(load_refiner(), torch.device("cpu"))
    rows: Rows = {}
    for path in sorted((args.folder / "images").iterdir()):
        rgb, truth = load_rgb(path), np.asarray(Image.open(args.folder / "alphas" / f"{path.stem}.png").convert("L"))
        trimap = np.asarray(Image.open(next(iter(sorted((args.folder / "trimaps").rglob(f"{path.stem}.png"))))))
        logits = clicked(contest, rgb, truth)
        for name, ask in (clicked_ways(rgb, logits, solver) | trimap_ways(rgb, trimap, solver)).items():
            began = time.perf_counter()
            with torch.inference_mode():
                alpha = ask()
            seconds = time.perf_counter() - began
            rows.setdefault(name, {})[path.stem] = measure(alpha, truth, trimap == UNKNOWN) | {"seconds": seconds}
            if args.sheets is not None:
                args.sheets.mkdir(parents=True, exist_ok=True)
                Image.fromarray(alpha).save(args.sheets / f"{path.stem}_{name.replace(' ', '_')}.png")
        print(f"{path.stem} done", flush=True)
    print_means(rows)
    for column in ("sad", "grad"):
        print_photos(rows, column)


def clicked(contest: Contest, rgb: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The segmentation head's logits after the robot user's clicks."""
    logits = np.zeros((0, 0), np.float32)
    for prompt, _ in contest.dialogue(rgb, truth > 127, np.ones(truth.shape, bool)):
        logits, _ = contest.engines["SAMA"].predict_logits(prompt, "segmentation")
    return logits


def clicked_ways(rgb: np.ndarray, logits: np.ndarray, solver: Callable) -> dict[str, Callable[[], np.ndarray]]:
    """What Matte can do with a mask."""
    frame = Frame(rgb.shape[0], rgb.shape[1], len(logits))

    def mask() -> np.ndarray:
        return np.rint(255 * probability(frame, logits, *rgb.shape[:2])).astype(np.uint8)

    return {
        "clicks: mask": mask,
        "clicks: guided": lambda: guided_matte(frame, logits, rgb),
        "clicks: closed form": lambda: matte_alpha(frame, logits, rgb),
        "clicks: refiner": lambda: refined_alpha(frame, logits, rgb, solver),
    }


def trimap_ways(rgb: np.ndarray, trimap: np.ndarray, solver: Callable) -> dict[str, Callable[[], np.ndarray]]:
    """The same given a trimap (H×W uint8: 0, 128, 255)."""
    unknown = (trimap > 0) & (trimap < 255)
    mask = trimap.astype(np.float32) / 255

    def guided() -> np.ndarray:
        return apply_linear(fit_guided(rgb.astype(np.float32) / 255, mask, _RADIUS, _EPSILON, unknown), rgb)

    return {
        "trimap: guided": guided,
        "trimap: closed form": lambda: np.rint(255 * closed_form(rgb, mask, unknown)).astype(np.uint8),
        "trimap: network alone": lambda: refine(rgb, Coarse(trimap, unknown), solver),
        "trimap: refiner": lambda: polish(rgb, refine(rgb, Coarse(trimap, unknown), solver), unknown),
    }


def measure(alpha: np.ndarray, truth: np.ndarray, unknown: np.ndarray) -> dict[str, float]:
    """Errors of a matte over the whole picture and in the unknown region."""
    errors = asdict(matting_errors(alpha, truth))
    inside = {f"{name}_unknown": value for name, value in asdict(matting_errors(alpha, truth, unknown)).items()}
    return errors | inside | {"mse": 1000 * errors["mse"]}


def print_means(rows: Rows) -> None:
    """Print a row of means for each way."""
    print("\n| mean of " + f"{len(next(iter(rows.values())))} photos | " + " | ".join(_COLUMNS) + " |")
    print("|---" * (1 + len(_COLUMNS)) + "|")
    for name, photos in rows.items():
        means = (np.mean([errors[column] for errors in photos.values()]) for column in _COLUMNS)
        print(f"| {name} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")


def print_photos(rows: Rows, column: str) -> None:
    """Print one error of each photo."""
    photos = list(next(iter(rows.values())))
    print(f"\n| {column} | " + " | ".join(photos) + " |\n" + "|---" * (1 + len(photos)) + "|")
    for name, errors in rows.items():
        print(f"| {name} | " + " | ".join(f"{errors[photo][column]:.1f}" for photo in photos) + " |")


if __name__ == "__main__":
    main()
