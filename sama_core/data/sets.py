"""Photos with masks, as `split.csv` lists them, and the objects in them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from sama_core.errors import DatasetError

#: Value of "nobody knows" in a mask of numbers (PASCAL VOC's void).
VOID = 255
#: What a set's masks hold: one object at 128 and more; numbers of classes; or a number for each object, from 1 on.
Annotation = Literal["binary", "classes", "instances"]
#: An object smaller than this share of the photo is not a target.
MIN_SHARE = 0.003


@dataclass(frozen=True)
class Entry:
    """One photo and its mask file."""

    set_name: str
    name: str
    image: Path
    mask: Path
    annotation: Annotation


def find_entries(root: Path, split: str, sets: tuple[str, ...] | None = None) -> list[Entry]:
    """List the photos of one split.

    `root` holds `split.csv` (columns set, name, split) and, for each set, `images/NAME.*` and `masks/NAME.png`. What a
    set's masks hold is looked up in the first few of them: numbers of instances leave no gap in any mask, numbers of
    classes do.

    Raises:
        FileNotFoundError: no `split.csv`, or a listed photo or mask is missing.
        DatasetError: `split.csv` does not name one of `sets`.
    """
    by_set: dict[str, list[str]] = {}
    known = set()
    with (root / "split.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            known.add(row["set"])
            if row["split"] == split and (sets is None or row["set"] in sets):
                by_set.setdefault(row["set"], []).append(row["name"])
    absent = [name for name in sets or () if name not in known]
    if absent:
        raise DatasetError(f"{root / 'split.csv'} names no set {absent[0]}. It has {', '.join(sorted(known))}.")
    entries = []
    for set_name, names in sorted(by_set.items()):
        images = {path.stem: path for path in (root / set_name / "images").iterdir()}
        masks = {path.stem: path for path in (root / set_name / "masks").iterdir()}
        missing = [name for name in names if name not in images or name not in masks]
        if missing:
            raise FileNotFoundError(
                f"{set_name}: {len(missing)} photos of split.csv have no image or mask, first {missing[0]}"
            )
        annotation = _annotation([masks[name] for name in names[:20]])
        entries += [Entry(set_name, name, images[name], masks[name], annotation) for name in sorted(names)]
    return entries


def _annotation(masks: list[Path]) -> Annotation:
    numbers = [np.setdiff1d(np.asarray(Image.open(mask)), (0, VOID)) for mask in masks]
    if not any((each < 128).any() for each in numbers):
        return "binary"
    gapless = all(np.array_equal(each, np.arange(1, len(each) + 1)) for each in numbers)
    return "instances" if gapless else "classes"


def weighted(entries: list[Entry], weights: dict[str, float]) -> list[Entry]:
    """List photos as often as their set's weight says: 2 names each twice, 0.5 every other one, the same ones whenever
    asked. A set without a weight is left as it is.
    """
    chosen = []
    for number, entry in enumerate(entries):
        # evenly spread over the names: the whole part of number·weight grows by the weight on average
        weight = weights.get(entry.set_name, 1.0)
        chosen += [entry] * (math.floor((number + 1) * weight) - math.floor(number * weight))
    return chosen


def choose(entries: list[Entry], per_set: int | None) -> list[Entry]:
    """Take the same `per_set` photos of each set on every call, spread evenly over its names; None takes all.

    Sets take turns in the order of play, so that a run cut short has seen all of them alike.
    """
    chosen = []
    for set_name in dict.fromkeys(entry.set_name for entry in entries):
        members = [entry for entry in entries if entry.set_name == set_name]
        count = len(members) if per_set is None else min(per_set, len(members))
        places = np.unique(np.linspace(0, len(members) - 1, count).round().astype(int))
        chosen.append([members[place] for place in places])
    return [entry for turn in zip_longest(*chosen) for entry in turn if entry is not None]


def load_rgb(path: Path) -> np.ndarray:
    """Read a photo as H×W×3 uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def load_objects(entry: Entry) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the entry's objects as (mask, valid) pairs of H×W uint8 0/1; `valid` is 0 where the annotation is void.

    Where masks hold classes an object is a connected component of one, so touching instances of a class are one object
    (`probably_several` doubts them). An instance is one object also where something in front of it cuts it in two.
    """
    raw = np.asarray(Image.open(entry.mask))
    raw = raw[..., 0] if raw.ndim == 3 else raw
    if entry.annotation == "binary":
        mask = (raw >= 128).astype(np.uint8)
        return [(mask, np.ones_like(mask))] if mask.mean() >= MIN_SHARE else []
    valid = (raw != VOID).astype(np.uint8)
    objects = []
    for index in np.unique(raw):
        if index in (0, VOID):
            continue
        whole = (raw == index).astype(np.uint8)
        if entry.annotation == "instances":
            if whole.mean() >= MIN_SHARE:
                objects.append((whole, valid))
            continue
        count, parts, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
        for part in range(1, count):
            if stats[part, cv2.CC_STAT_AREA] >= MIN_SHARE * raw.size:
                objects.append(((parts == part).astype(np.uint8), valid))
    return objects


def largest_object(entry: Entry) -> tuple[np.ndarray, np.ndarray] | None:
    """An entry's largest object, and where the annotation is known: H×W bool each; None if there is none."""
    objects = load_objects(entry)
    if not objects:
        return None
    mask, valid = max(objects, key=lambda pair: int(pair[0].sum()))
    return mask.astype(bool), valid.astype(bool)


def load_targets(entry: Entry) -> list[tuple[np.ndarray, np.ndarray]]:
    """The objects of `load_objects` that are surely one thing each, to learn from; the others stay background to them.

    Evaluation takes all, so that its figures stay comparable.
    """
    objects = load_objects(entry)
    return [pair for pair in objects if entry.annotation != "classes" or not probably_several(*pair)]


def probably_several(mask: np.ndarray, valid: np.ndarray) -> bool:
    """Whether a component of a class is doubtful as one thing: its core falls apart where it is less than 0.4 times as
    thick as at its thickest, into two parts of 15 % of it or more, and the annotator drew no borders.

    Annotators who leave a border of void around every object have parted touching ones by it.

    Args:
        mask, valid: H×W uint8 0/1, as from `load_objects`.
    """
    if not valid.all():
        return False
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)
    core = (depth > 0.4 * depth.max()).astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(core)[2]
    return int((stats[1:, cv2.CC_STAT_AREA] >= 0.15 * core.sum()).sum()) > 1
