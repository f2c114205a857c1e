"""SAMA's heads beside the small SAM and closed-form matting: the same photos, the same clicks, one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from sama_core.data.sets import Entry, largest_object, load_rgb
from sama_core.data.simulated_user import next_click
from sama_core.errors import DatasetError
from sama_core.evaluation.contact_sheet import over_green
from sama_core.evaluation.matting_metrics import UNKNOWN, matting_errors
from sama_core.evaluation.metrics import boundary_iou, iou
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.engine import Engine
from sama_core.inference.matting import matte_alpha
from sama_core.inference.upsampling import probability, select_alpha
from sama_core.model.views import QUADRANTS
from sama_core.prompts import Prompt

#: Answers that every model has: stock SAM's mask, and closed-form matting around it.
SMALL_SAM, CLOSED_FORM = "small SAM", "small SAM: closed form"
_MASK_COLUMNS = ("iou", "boundary_iou")
_MATTE_COLUMNS = ("sad", "mse", "mad", "grad", "conn", "sad_unknown", "grad_unknown")


@dataclass(frozen=True)
class Measured:
    """Errors of one answer about one photo after some clicks."""

    photo: str
    clicks: int
    answer: str
    errors: dict[str, float]


class Contest:
    """Several adapters of one model, asked the same.

    Args:
        model, device: as for `Engine`.
        adapters: adapter files by the name that tables give them.
        counts: after how many clicks answers are measured.
        local_views: as for `Engine`.
    """

    def __init__(
        self,
        model: str,
        device: str,
        adapters: dict[str, Path],
        counts: tuple[int, ...],
        local_views: Literal["all", "reached"] = "reached",
    ) -> None:
        # the views of a photo, and of the crop of a second look, are encoded once for all adapters
        cache = EmbeddingCache(None, ram_entries=2 * (QUADRANTS + 1))
        self.engines = {
            name: Engine(model, device, cache, adapter=path, local_views=local_views) for name, path in adapters.items()
        }
        self._stock = next(iter(self.engines.values()))
        self._counts = counts

    def masks(self, entries: list[Entry]) -> Iterator[Measured]:
        """Select the largest object of each photo; measures IoU and boundary IoU."""
        for entry in entries:
            target = largest_object(entry)
            if target is None:
                continue
            truth, known = target
            rgb = load_rgb(entry.image)
            for prompt, stock in self.dialogue(rgb, truth, known):
                answers = {SMALL_SAM: select_alpha(self._stock.frame, stock, rgb)}
                answers |= {name: engine.select(prompt).alpha for name, engine in self.engines.items()}
                for name, alpha in answers.items():
                    inside = alpha > 127
                    errors = {"iou": iou(inside, truth, known), "boundary_iou": boundary_iou(inside, truth, known)}
                    yield Measured(f"{entry.set_name}/{entry.name}", len(prompt.labels), name, errors)

    def mattes(self, folder: Path, sheets: Path | None = None) -> Iterator[Measured]:
        """Matte each photo of a folder (`images/NAME.*`, `alphas/NAME.png`, `trimaps/NAME.png` or a folder below).

        The robot user clicks on what has alpha over one half.

        Args:
            sheets: a folder for pictures to look at, one for each photo: photo, truth and answers, over green.

        Raises:
            DatasetError: the folder has no images, or an image has no alpha.
        """
        images = sorted((folder / "images").iterdir()) if (folder / "images").is_dir() else []
        if not images:
            raise DatasetError(f"There is no folder images in {folder}, or it is empty. Name a folder of photos.")
        for path in images:
            alpha_path = folder / "alphas" / f"{path.stem}.png"
            if not alpha_path.is_file():
                raise DatasetError(f"The photo {path.name} has no alpha {alpha_path}. Put it there.")
            rgb, truth = load_rgb(path), np.asarray(Image.open(alpha_path).convert("L"))
            trimap = next(iter(sorted((folder / "trimaps").rglob(f"{path.stem}.png"))), None)
            unknown = None if trimap is None else np.asarray(Image.open(trimap).convert("L")) == UNKNOWN
            answers: dict[str, np.ndarray] = {}
            for prompt, stock in self.dialogue(rgb, truth > 127, np.ones(truth.shape, bool)):
                soft = probability(self._stock.frame, stock, *truth.shape)
                answers = {
                    SMALL_SAM: np.rint(soft * 255).astype(np.uint8),
                    CLOSED_FORM: matte_alpha(self._stock.frame, stock, rgb),
                }
                for name, engine in self.engines.items():
                    answers[f"{name}: closed form"] = engine.matte(prompt, method="closed-form").alpha
                    answers[f"{name}: refiner"] = engine.matte(prompt, method="refiner").alpha
                    answers[f"{name}: matting head"] = engine.matte(prompt, method="head").alpha
                for name, alpha in answers.items():
                    errors = asdict(matting_errors(alpha, truth))
                    if unknown is not None:
                        inside = matting_errors(alpha, truth, unknown)
                        errors |= {"sad_unknown": inside.sad, "grad_unknown": inside.grad}
                    yield Measured(path.stem, len(prompt.labels), name, errors)
            if sheets is not None:
                _write_sheet(sheets / f"{path.stem}.jpg", rgb, {"truth": truth} | answers)

    def dialogue(self, rgb: np.ndarray, truth: np.ndarray, known: np.ndarray) -> Iterator[tuple[Prompt, np.ndarray]]:
        """The robot user's clicks, each where stock SAM's answer is most wrong; yields at the counts asked for.

        Args:
            rgb: H×W×3 uint8.
            truth: H×W bool, what the user wants.
            known: H×W bool, where the truth is known.

        Yields:
            The prompt and stock SAM's 256×256 logits.
        """
        for engine in self.engines.values():
            engine.set_image(rgb)
        points, labels = [], []
        answer, logits = np.zeros(truth.shape, bool), None
        for count in range(1, max(self._counts) + 1):
            click = next_click(truth, answer, known)
            if click is None:
                break
            points.append(click[:2])
            labels.append(click[2])
            logits, _ = self._stock.predict_logits(Prompt(points, labels, low_res_logits=logits))
            answer = select_alpha(self._stock.frame, logits, rgb) > 127
            if count in self._counts:
                yield Prompt(list(points), list(labels)), logits


def table(rows: list[Measured], mattes: bool) -> str:
    """Markdown: a row for each answer and number of clicks, means over the photos."""
    columns = _MATTE_COLUMNS if mattes else _MASK_COLUMNS
    photos = len({row.photo for row in rows})
    lines = [f"| {photos} photos | clicks | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for count in sorted({row.clicks for row in rows}):
        for name in dict.fromkeys(row.answer for row in rows):
            chosen = [row.errors for row in rows if row.answer == name and row.clicks == count]
            if chosen:
                cells = [_mean(chosen, column) for column in columns]
                lines.append(f"| {name} | {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(errors: list[dict[str, float]], column: str) -> str:
    values = [each[column] for each in errors if column in each]
    if not values:
        return ""
    mean = float(np.mean(values))
    return f"{mean:.4f}" if mean < 1 else f"{mean:.2f}"


def _write_sheet(path: Path, rgb: np.ndarray, alphas: dict[str, np.ndarray]) -> None:
    cells = [rgb, *(over_green(rgb, alpha) for alpha in alphas.values())]
    cells += [np.zeros_like(rgb)] * (len(cells) % 2)
    half = len(cells) // 2
    sheet = np.vstack([np.hstack(cells[:half]), np.hstack(cells[half:])])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, quality=92)
