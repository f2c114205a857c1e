"""Which photo of a data set belongs to which mask, matte, trimap and foreground, and how a pair is read."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sama_core.data.layouts import LAYOUTS, PLAIN, SPLIT_CSV, Kind, Layout, Part, canonical, layout_names
from sama_core.data.sets import load_rgb
from sama_core.errors import DatasetError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
#: What tells targets of one photo, or composites of one target, apart at the end of their stems.
_NUMBER = re.compile(r"_\d+$")
#: Two pictures of different size are one picture resized if their aspect ratios differ by less than this.
_SAME_ASPECT = 0.01


@dataclass(frozen=True)
class Pair:
    """One target and what it was annotated on.

    Attributes:
        name: stem of the target, or of the composite where several composites share a target.
        image: the photo; None where the set has only a foreground, to be composited over a photo of something else.
        target: grey picture: a mask, or an alpha matte × 255.
        kind: what `target` is.
        trimap: grey picture, 0 background, 128 unknown, 255 foreground; None where the set has none for it.
        foreground: colours of the foreground alone, defined where alpha > 0; None where the set has none for it.
    """

    name: str
    image: Path | None
    target: Path
    kind: Kind
    trimap: Path | None = None
    foreground: Path | None = None


def find_pairs(root: Path, layout: str, split: str) -> list[Pair]:
    """List the pairs of one split, sorted by name within each part of the split.

    Args:
        root: the folder the set was unpacked to: its own folder, or one that holds it.
        layout: one of `layout_names()`; case, dashes, dots and underscores do not matter.
        split: one of the layout's splits. `plain` takes any split: `root/SPLIT/images` where there is such a folder,
            else `root/images`, reduced to the names in `root/SPLIT.txt` where there is such a file.

    Raises:
        DatasetError: unknown layout or split, folders that are not there, or photos and targets that do not match up.
    """
    name = canonical(layout)
    _check_folder(root)
    if name == SPLIT_CSV:
        return _split_csv_pairs(root, split)
    if name == PLAIN:
        return _plain_pairs(root, split)
    known = LAYOUTS[name]
    if split not in known.splits:
        raise DatasetError(f"{known.title} has no split {split!r}. Choose one of {', '.join(known.splits)}.")
    found = _find_split(_bases(root, known), known.splits[split])
    if found is None:
        wanted = "; or ".join(
            ", ".join(" or ".join(names) for part in parts for names in part.needed) for parts in known.splits[split]
        )
        remedy = f"Unpack the set there, or point at the folder that holds {known.folders[0]}."
        if split == "test" and _find_split(_bases(root, known), known.splits.get("test-foregrounds", ())):
            remedy = "Composite the test foregrounds over their backgrounds first, with the set's own script."
        raise DatasetError(f"{root} has no {split!r} split of {known.title}: looked for {wanted}. {remedy}")
    base, parts = found
    return _match(base, parts, f"{known.title} {split}")


def detect_layout(root: Path) -> str:
    """Name the layout of a folder.

    Raises:
        DatasetError: no known layout fits, or several do (HQ-SAM's folder holds three sets).
    """
    _check_folder(root)
    if (root / "split.csv").is_file():
        return SPLIT_CSV
    fitting = []
    for name, layout in LAYOUTS.items():
        bases = [base for base in _bases(root, layout) if not layout.named or _bears_name(base, layout.folders[0])]
        if any(_find_split(bases, alternatives) for alternatives in layout.splits.values()):
            fitting.append(name)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DatasetError(f"{root} holds several sets: {', '.join(fitting)}. Name the one you mean.")
    if _plain_parts(root) or any(_plain_parts(child) for child in root.iterdir() if child.is_dir()):
        return PLAIN
    raise DatasetError(
        f"{root} is laid out like none of the known sets. Choose a folder of {', '.join(layout_names())}; "
        "plain means images/ with masks/ or alphas/ beside it."
    )


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}. Give the folder that the data set was unpacked to.")


def _child(base: Path, relative: str) -> Path | None:
    """Follow `relative` below `base` whatever the case of the names; None where that leads nowhere."""
    path = base
    for name in relative.split("/"):
        exact = path / name
        if exact.exists():
            path = exact
            continue
        if not path.is_dir():
            return None
        path = next((child for child in sorted(path.iterdir()) if child.name.lower() == name.lower()), exact)
        if path is exact:
            return None
    return path


def _bases(root: Path, layout: Layout) -> Iterator[Path]:
    """Yield the folders that may be the set's own: the root, then folders below it that bear one of its names."""
    level = [root]
    for _ in range(3):
        yield from level
        level = [child for base in level for name in layout.folders if (child := _child(base, name)) and child.is_dir()]


def _bears_name(folder: Path, name: str) -> bool:
    return name.lower() in (folder.name.lower(), folder.resolve().name.lower())


def _find_split(
    bases: Iterable[Path], alternatives: tuple[tuple[Part, ...], ...]
) -> tuple[Path, tuple[Part, ...]] | None:
    for base in bases:
        for parts in alternatives:
            if all(_first(base, names) for part in parts for names in part.needed):
                return base, parts
    return None


def _first(base: Path, names: tuple[str, ...]) -> Path | None:
    return next((path for name in names if (path := _child(base, name))), None)


def _files(folder: Path | None) -> dict[str, Path]:
    """Pictures of a folder by stem."""
    if folder is None:
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise DatasetError(
                f"{folder} has both {files[path.stem].name} and {path.name}. Remove the one that does not belong."
            )
        files[path.stem] = path
    return files


def _match(base: Path, parts: tuple[Part, ...], title: str, names: set[str] | None = None) -> list[Pair]:
    """Pair up the files of all parts, or of those `names` (the parts' list files say which where `names` is None)."""
    pairs: list[Pair] = []
    sources_seen: dict[Path, None] = {}
    targets_seen: dict[Path, None] = {}
    matched: set[Path] = set()
    for part in parts:
        sources = _files(_first(base, part.images or part.foregrounds))
        targets = _files(_first(base, part.targets))
        if names is None and (list_file := _first(base, part.lists)):
            names = _listed_names(list_file)
        if names is not None:
            sources = {stem: path for stem, path in sources.items() if stem in names}
            targets = {stem: path for stem, path in targets.items() if stem in names}
        trimaps = _files(_first(base, part.trimaps))
        foregrounds = _files(_first(base, part.foregrounds))
        for name, source, target in _partners(sources, targets, part.numbered):
            matched |= {source, target}
            trimap, foreground = (side.get(name) or side.get(target.stem) for side in (trimaps, foregrounds))
            pairs.append(Pair(name, source if part.images else None, target, part.kind, trimap, foreground))
        sources_seen |= dict.fromkeys(sources.values())
        targets_seen |= dict.fromkeys(targets.values())
    source_word = "photo" if parts[0].images else "foreground"
    target_word = "mask" if parts[0].kind == "mask" else "matte"
    _complain(title, [path.name for path in sources_seen if path not in matched], source_word, target_word)
    _complain(title, [path.name for path in targets_seen if path not in matched], target_word, source_word)
    _complain(title, sorted((names or set()) - {pair.name for pair in pairs}), "listed name", "files")
    if not pairs:
        raise DatasetError(f"{title} in {base} is empty. Unpack the set again.")
    return pairs


def _complain(title: str, names: list[str], having: str, lacking: str) -> None:
    if names:
        count = f"1 {having} has" if len(names) == 1 else f"{len(names)} {having}s have"
        raise DatasetError(f"{title}: {count} no {lacking}, first {names[0]}. Unpack the set again, or remove them.")


def _partners(sources: dict[str, Path], targets: dict[str, Path], numbered: bool) -> Iterator[tuple[str, Path, Path]]:
    """Yield (name, source, target): same stems, or where `numbered` one side's stem with a number behind it."""
    used = set()
    for stem, target in targets.items():
        match = stem if stem in sources else _NUMBER.sub("", stem) if numbered else None
        if match in sources:
            used.add(match)
            yield stem, sources[match], target
    if numbered:
        for stem, source in sources.items():
            if stem not in used and (target := targets.get(_NUMBER.sub("", stem))):
                yield stem, source, target


def _listed_names(path: Path) -> set[str]:
    """Stems named in a list file, one a line; further columns (a mask's name) are ignored."""
    names = set()
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if line.strip():
            name = line.strip().replace("\\", "/").rsplit("/", 1)[-1]
            names.add(name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in PICTURE_SUFFIXES else name)
    return names


def _plain_parts(base: Path, lists: tuple[str, ...] = ()) -> tuple[Part, ...]:
    if not (base / "images").is_dir():
        return ()
    kinds: tuple[tuple[str, Kind], ...] = (("masks", "mask"), ("alphas", "alpha"))
    return tuple(
        Part((folder,), kind, ("images",), trimaps=("trimaps",), foregrounds=("foregrounds",), lists=lists)
        for folder, kind in kinds
        if (base / folder).is_dir()
    )


def _plain_pairs(root: Path, split: str) -> list[Pair]:
    for base in (root / split, root):
        lists = (f"{split}.txt",) if base == root else ()
        if parts := _plain_parts(base, lists):
            return _match(base, parts, str(base))
    raise DatasetError(
        f"{root} is no plain data folder: it needs images/ with masks/ or alphas/ beside it, directly or in {split}/."
    )


def _split_csv_pairs(root: Path, split: str) -> list[Pair]:
    path = root / "split.csv"
    if not path.is_file():
        raise DatasetError(f"{root} has no split.csv. Give the folder that holds it, or choose another layout.")
    by_set: dict[str, set[str]] = {}
    splits = set()
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"set", "name", "split"} <= set(reader.fieldnames or ()):
            raise DatasetError(f"{path} needs the columns set, name and split. Write them in its first line.")
        for row in reader:
            splits.add(row["split"])
            if row["split"] == split:
                by_set.setdefault(row["set"], set()).add(row["name"])
    if not by_set:
        raise DatasetError(f"{path} names no photo of split {split!r}. It has {', '.join(sorted(splits)) or 'none'}.")
    pairs = []
    for set_name, names in sorted(by_set.items()):
        parts = _plain_parts(root / set_name)
        if not parts:
            raise DatasetError(f"{root / set_name} needs images/ with masks/ or alphas/ beside it: split.csv names it.")
        pairs += _match(root / set_name, parts, f"{set_name} {split}", names)
    return pairs


def load_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair's photo, or its foreground if it has no photo, and its target.

    Returns:
        H×W×3 uint8 sRGB, and H×W float32 in 0..1, resized to the photo where the set has it in another size.

    Raises:
        DatasetError: one is missing, or they show different frames.
    """
    path = pair.image or pair.foreground
    if path is None:
        raise DatasetError(f"{pair.target} has neither photo nor foreground. Unpack the set again.")
    rgb, target = load_rgb(path), load_target(pair.target)
    height, width = rgb.shape[:2]
    if target.shape != (height, width):
        aspect = target.shape[0] * width / (target.shape[1] * height)
        if abs(aspect - 1) > _SAME_ASPECT:
            sizes = f"{width}×{height} but its target {target.shape[1]}×{target.shape[0]}"
            raise DatasetError(f"{path} is {sizes} ({pair.target.name}). Remove the pair or repair it.")
        target = cv2.resize(target, (width, height), interpolation=cv2.INTER_AREA)
    return rgb, target


def load_target(path: Path) -> np.ndarray:
    """Read a mask or matte as H×W float32 in 0..1, from 8 or 16 bits; a mask of 0 and 1 counts as full range."""
    picture = Image.open(path)
    if picture.mode.startswith("I"):
        return np.asarray(picture).astype(np.float32) / 65535
    values = np.asarray(picture.convert("L"))
    return values.astype(np.float32) / (1 if values.max() == 1 else 255)
