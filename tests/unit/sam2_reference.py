"""What the makers' own image predictor of SAM 2.1 answers, on weights that are random but the same everywhere.

usage: python tests/unit/sam2_reference.py     writes sam2_reference.npz anew; needs the package: pip install '.[sam2]'

The weights have the official layout: every key and shape of the published files, the parts for videos included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

RECORDED = Path(__file__).with_name("sam2_reference.npz")
SIZE = 1024
#: The makers' configuration files.
CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


class Question(NamedTuple):
    """A prompt in pixels of the picture, whose pixel centres lie at half pixels as everywhere in SAMA."""

    points: list[tuple[float, float]]
    labels: list[int]
    box: tuple[float, float, float, float] | None = None
    with_mask: bool = False


QUESTIONS = {
    "click": Question([(500.5, 300.5)], [1]),
    "clicks": Question([(500.5, 300.5), (40.25, 900.0)], [1, 0]),
    "box": Question([], [], (100.0, 200.0, 800.0, 900.0)),
    "box and click": Question([(300.0, 400.0)], [0], (100.0, 200.0, 800.0, 900.0)),
    "click and mask": Question([(500.5, 300.5)], [1], with_mask=True),
}


def picture() -> np.ndarray:
    """1024×1024×3 uint8: nothing has to be scaled for the network."""
    return np.random.RandomState(1).randint(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def mask_prompt() -> np.ndarray:
    """256×256 float32 logits."""
    return (np.random.RandomState(2).standard_normal((256, 256)) * 4).astype(np.float32)


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors of these names and shapes that are the same on every machine and far from what an untrained one has."""
    random = np.random.RandomState(0)
    state = {}
    for name in sorted(shapes):
        values = random.standard_normal(shapes[name]).astype(np.float32)
        fan_in = int(np.prod(shapes[name][1:])) if len(shapes[name]) > 1 else 1
        if "norm" in name or "output_upscaling.1" in name:
            values = values * np.float32(0.2) + np.float32(name.endswith("weight"))
        elif "embed" in name or "token" in name or "gaussian" in name:
            values = values * np.float32(0.5)
        else:
            values = values * np.float32((0.5 if len(shapes[name]) > 1 else 0.1) / np.sqrt(fan_in))
        state[name] = torch.from_numpy(values)
    return state


def official_shapes(size: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in the makers' file of a size, as recorded."""
    rows = (str(row).split(" ") for row in np.load(RECORDED)[f"{size} shapes"])
    return {name: tuple(map(int, shape)) for name, *shape in rows}


def write_checkpoint(path: Path) -> None:
    """Write a file of the tiny model in the layout of the makers' own."""
    torch.save({"model": random_state(official_shapes("tiny"))}, path)


def official_model(size: str) -> Any:
    """The package's own model with random weights of its own."""
    from sam2.build_sam import build_sam2  # type: ignore[import-not-found]

    return build_sam2(f"configs/sam2.1/sam2.1_hiera_{CONFIGS[size]}.yaml", device="cpu")


def ask(model: Any) -> dict[str, np.ndarray]:
    """The predictor's answers to `QUESTIONS`: logits 4×256×256, the single mask's first, and IoUs 4, by name."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor  # type: ignore[import-not-found]

    predictor = SAM2ImagePredictor(model)
    predictor.set_image(picture())
    answers = {}
    for name, question in QUESTIONS.items():
        # its coordinates count pixel centres as whole numbers
        prompt = {
            "point_coords": np.array(question.points, np.float32) - 0.5 if question.points else None,
            "point_labels": np.array(question.labels) if question.points else None,
            "box": None if question.box is None else np.array(question.box, np.float32) - 0.5,
            "mask_input": mask_prompt()[None] if question.with_mask else None,
        }
        single, several = (predictor.predict(**prompt, multimask_output=many) for many in (False, True))
        answers[f"{name} logits"] = np.concatenate([single[2], several[2]])
        answers[f"{name} iou"] = np.concatenate([single[1], several[1]])
    return answers


def thinned(logits: np.ndarray) -> np.ndarray:
    """Every eighth row and column, enough to tell masks apart."""
    return logits[:, 3::8, 5::8]


def record() -> None:
    """Write `RECORDED`."""
    kept: dict[str, np.ndarray] = {}
    for size in CONFIGS:
        official = official_model(size)
        shapes = {name: tuple(tensor.shape) for name, tensor in official.state_dict().items()}
        kept[f"{size} shapes"] = np.array([f"{' '.join([name, *map(str, shapes[name])])}" for name in sorted(shapes)])
        if size == "tiny":
            official.load_state_dict(random_state(shapes))
            answers = ask(official)
            kept |= {name: thinned(each) if name.endswith("logits") else each for name, each in answers.items()}
    np.savez_compressed(RECORDED, **kept)  # type: ignore[arg-type]


if __name__ == "__main__":
    record()
