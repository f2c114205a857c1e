"""What `peers.py` measured: Markdown tables, a CSV of all rows, contact sheets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from peers_measure import COUNTS, METHODS, Job, Photo, read_grey

from sama_core.data.sets import load_rgb
from sama_core.evaluation import clicks
from sama_core.evaluation.contact_sheet import contact_sheet, over_green, with_clicks
from sama_core.evaluation.metrics import clicks_needed

Row = dict[str, Any]
_COLUMNS: tuple[str, ...] = (
    "photo",
    "method",
    "what",
    "clicks",
    "iou",
    "boundary_iou",
    "noc@85",
    "noc@90",
    "sad",
    "grad",
)
_COLUMNS += ("sad_unknown", "grad_unknown", "seconds", "cpu_seconds", "peak_mib", "error")
_TARGETS = {"noc@85": 0.85, "noc@90": 0.90}
_COST = ("seconds", "CPU s", "peak MiB")
_ERRORS = {"sad": "SAD", "grad": "Grad", "sad_unknown": "SAD unknown", "grad_unknown": "Grad unknown"}
#: A sheet's pictures in a row, and their width in pixels.
_SHEET_COLUMNS, _SHEET_WIDTH = 4, 320


def tables(rows: list[Row]) -> str:
    """Markdown: means of masks, dialogues and mattes, then each photo.

    A mean is over the photos that every method answered; what failed is counted beside it.
    """
    parts = [_masks(rows), _dialogues(rows), _mattes(rows), _each_mask(rows), _each_matte(rows)]
    return "\n\n".join(part for part in parts if part)


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write all rows but the clicks."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(_COLUMNS), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_with_noc(row) for row in rows if row["what"] != "clicks")


def write_sheets(job: Job, rows: list[Row]) -> None:
    """Write OUT/sheets/PHOTO.jpg: the photo with its clicks, what is true, and each method's cut-out over green."""
    given = {row["photo"]: row for row in rows if row["what"] == "clicks"}
    for photo in job.photos:
        if photo.name in given:
            cells = _cells(job, photo, given[photo.name], [row for row in rows if row["photo"] == photo.name])
            sheet = contact_sheet(cells, _SHEET_COLUMNS, _SHEET_WIDTH)
            target = job.out / "sheets" / f"{photo.name.replace('/', '-')}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            sheet.save(target, quality=92)


def _cells(job: Job, photo: Photo, given: Row, rows: list[Row]) -> dict[str, np.ndarray]:
    rgb, truth = load_rgb(photo.image), photo.truth()
    cells = {photo.name: with_clicks(rgb, given["points"], given["labels"])}
    if photo.alpha is not None:
        cells["true alpha"] = over_green(rgb, read_grey(photo.alpha))
    elif truth is not None:
        cells["true mask"] = over_green(rgb, truth[0].astype(np.uint8) * 255)
    for what in ("mask", "matte"):
        for method in METHODS:
            path = job.answer(photo, method, what)
            if path.is_file():
                measured = [row for row in rows if row["method"] == method and row["what"] == what][-1:]
                cells[_caption(method, what, measured)] = over_green(rgb, read_grey(path))
    return cells


def _caption(method: str, what: str, measured: list[Row]) -> str:
    for row in measured:
        if "iou" in row:
            return f"{method}: {what}, IoU {row['iou']:.3f}"
        if "sad" in row:
            return f"{method}: {what}, SAD {row['sad']:.2f}"
    return f"{method}: {what}"


def _with_noc(row: Row) -> Row:
    if "curve" not in row:
        return row
    return row | {name: clicks_needed(row["curve"], target, clicks.LIMIT) for name, target in _TARGETS.items()}


def _masks(rows: list[Row]) -> str:
    lines = []
    for count in COUNTS:
        asked = [row for row in rows if row["what"] == "mask" and row.get("clicks", count) == count]
        for method, answered, failed in _by_method(asked, "iou"):
            cells = [f"{_mean(answered, 'iou'):.3f}", f"{_mean(answered, 'boundary_iou'):.3f}", *_cost(answered)]
            lines.append(f"| {method} | {count} | " + " | ".join(cells) + f" | {len(answered)} | {failed} |")
    head = ["masks, SAMA's clicks", "clicks", "IoU", "boundary IoU", *_COST, "photos", "failed"]
    return _table(head, lines)


def _dialogues(rows: list[Row]) -> str:
    lines = []
    asked = [_with_noc(row) for row in rows if row["what"] == "dialogue"]
    for method, answered, failed in _by_method(asked, "curve"):
        means = [f"{np.mean([row['curve'][count - 1] for row in answered]):.3f}" for count in COUNTS]
        cells = [f"{_mean(answered, name):.2f}" for name in _TARGETS] + means
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {len(answered)} | {failed} |")
    head = ["own dialogue", "NoC@85", "NoC@90", *(f"IoU@{count}" for count in COUNTS), "photos", "failed"]
    return _table(head, lines)


def _mattes(rows: list[Row]) -> str:
    lines = []
    asked = [row for row in rows if row["what"] == "matte"]
    asked += [row | {"method": "SAMA Select's mask"} for row in rows if row["what"] == "mask as matte"]
    for method, answered, failed in _by_method(asked, "sad"):
        errors = [f"{_mean(answered, name):.2f}" for name in _ERRORS]
        cost = _cost(answered) if "seconds" in answered[0] else [""] * len(_COST)
        lines.append(f"| {method} | " + " | ".join([*errors, *cost]) + f" | {len(answered)} | {failed} |")
    return _table([f"mattes, {COUNTS[-1]} clicks", *_ERRORS.values(), *_COST, "photos", "failed"], lines)


def _each_mask(rows: list[Row]) -> str:
    """IoU after each count of clicks, photo by photo."""
    asked = [row for row in rows if row["what"] == "mask" and ("iou" in row or "error" in row)]
    return _each(asked, "IoU after " + " / ".join(map(str, COUNTS)) + " clicks", "iou", "{:.3f}")


def _each_matte(rows: list[Row]) -> str:
    asked = [row for row in rows if row["what"] == "matte" and ("sad" in row or "error" in row)]
    return _each(asked, "SAD", "sad", "{:.2f}")


def _each(asked: list[Row], title: str, column: str, form: str) -> str:
    methods = [name for name in METHODS if any(row["method"] == name for row in asked)]
    lines = []
    for photo in dict.fromkeys(row["photo"] for row in asked):
        cells = []
        for method in methods:
            own = [row for row in asked if (row["photo"], row["method"]) == (photo, method)]
            cells.append(" / ".join(form.format(row[column]) if column in row else "failed" for row in own))
        lines.append(f"| {photo} | " + " | ".join(cells) + " |")
    return _table([title, *methods], lines)


def _by_method(asked: list[Row], column: str) -> list[tuple[str, list[Row], int]]:
    """Each method that answered at all, its rows about the photos that all of those answered, and its failures."""
    methods = list(dict.fromkeys(row["method"] for row in asked))
    answered = {name: {row["photo"] for row in asked if row["method"] == name and column in row} for name in methods}
    common = set.intersection(*(photos for photos in answered.values() if photos)) if any(answered.values()) else set()
    chosen = []
    for name in methods:
        own = [row for row in asked if row["method"] == name]
        rows = [row for row in own if row["photo"] in common and column in row]
        if rows:
            chosen.append((name, rows, sum("error" in row for row in own)))
    return chosen


def _cost(rows: list[Row]) -> list[str]:
    """Mean seconds and the highest peak."""
    times = [f"{_mean(rows, name):.2f}" for name in ("seconds", "cpu_seconds")]
    return [*times, f"{max(row['peak_mib'] for row in rows):.0f}"]


def _mean(rows: list[Row], column: str) -> float:
    return float(np.mean([row[column] for row in rows if column in row]))


def _table(head: list[str], lines: list[str]) -> str:
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines])
