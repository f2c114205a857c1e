"""From the data part of a recipe to sources of samples."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Literal

from sama_core.data.sets import Entry, find_entries
from sama_core.errors import ConfigError, DatasetError
from sama_core.training.config import ModulesConfig, OwnData, OwnSet
from sama_core.training.external import Supply, find_supplies, merge
from sama_core.training.samples import MattingSource, SegmentationSource, Source

#: Photos of a set are repeated in a list of about this length, so that sets are drawn by their shares.
_LIST_LENGTH = 12000


def open_sources(
    config: ModulesConfig, fine_size: int
) -> tuple[dict[Literal["segmentation", "matting"], Source], list[Supply]]:
    """Open all data of a recipe.

    Args:
        config: the recipe.
        fine_size: F of `ViewSample`, twice the backbone's input size.

    Returns:
        A source for each task of the recipe, and what they were made of.

    Raises:
        ConfigError: a task has no data, or `target_side` does not divide `fine_size`.
        DatasetError: a set cannot be found, or its photos and targets do not match up.
    """
    supplies = find_supplies(config.data, config.backgrounds, fine_size, config.target_side)
    if config.own is not None:
        supplies += own_supplies(config.own, fine_size, config.target_side)
    sources: dict[Literal["segmentation", "matting"], Source] = {}
    for task in config.tasks:
        some = [supply for supply in supplies if supply.task == task]
        if not some:
            raise ConfigError(
                f"The recipe has no data for {task}: add a [[data]] set or [own], or leave it out of tasks."
            )
        # one supply alone needs no draw of which one
        sources[task] = some[0].source if len(some) == 1 else merge(some)[task]
    return sources, [supply for supply in supplies if supply.task in sources]


def own_supplies(own: OwnData, fine_size: int, target_size: int) -> list[Supply]:
    """Segmentation and matting samples of photos that have masks alone.

    Raises:
        DatasetError: no split.csv, a set that it does not list, or photos without masks.
    """
    table = own.folder / "split.csv"
    if not table.is_file():
        raise DatasetError(f"There is no split.csv in {own.folder}. Give the folder that holds it as own.folder.")
    listed = _sets(table)
    if unknown := sorted({chosen.name for chosen in own.sets} - listed):
        raise DatasetError(f"{table} lists no training photo of {unknown[0]}. It has {', '.join(sorted(listed))}.")
    entries = find_entries(own.folder, "train", tuple(chosen.name for chosen in own.sets) or None)
    unmatted = {chosen.name for chosen in own.sets if not chosen.matting}
    source = SegmentationSource(repeated(entries, own.sets), fine_size, target_size)
    supplies = [Supply(_counts(entries), "train", "segmentation", own.weight, source)]
    if photos := [entry for entry in entries if entry.set_name not in unmatted]:
        source = MattingSource(photos, own.pseudo_alphas, fine_size, target_size, own.mix)
        supplies.append(Supply(_counts(photos), "train", "matting", own.weight, source))
    return supplies


def repeated(entries: list[Entry], sets: tuple[OwnSet, ...]) -> list[Entry]:
    """Repeat the photos of each set, at least once each, so that a uniform draw takes sets by their shares."""
    if not sets:
        return entries
    total = sum(chosen.share for chosen in sets)
    by_name = {chosen.name: [entry for entry in entries if entry.set_name == chosen.name] for chosen in sets}
    result = []
    for chosen in sorted(sets, key=lambda chosen: chosen.name):
        photos = by_name[chosen.name]
        result += photos * max(1, round(chosen.share / total * _LIST_LENGTH / len(photos)))
    return result


def _counts(entries: list[Entry]) -> dict[str, int]:
    return dict(Counter(entry.set_name for entry in entries))


def _sets(table: Path) -> set[str]:
    with table.open(newline="") as file:
        return {row["set"] for row in csv.DictReader(file) if row["split"] == "train"}
