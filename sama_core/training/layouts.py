"""The public data sets in the folders they unpack to: which photo belongs to which mask, matte, trimap and foreground.

Every layout is a row of `LAYOUTS`. Folder names follow the releases and the loaders in common use: HQ-SAM for DIS5K,
ThinObject5K, COIFT and HRSOD; GFM, AIM and P3M for AM-2K, AIM-500 and P3M-10k; Matting Anything for RefMatte; the Deep
Image Matting composition script (also in MMEditing and MatteFormer) for Composition-1K. Where releases differ, the
alternatives are listed in order of preference.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sama_core.errors import DatasetError

Kind = Literal["mask", "alpha"]

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_NUMBER = re.compile(r"_\d+$")


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


@dataclass(frozen=True)
class Part:
    """Folders, relative to the set's own, that hold photos (or foregrounds) and targets with the same file stems.

    Each field lists alternatives, of which the first that exists is taken.

    Attributes:
        targets: folders of masks or mattes.
        kind: what they hold.
        images: folders of photos; empty where the targets have only foregrounds.
        trimaps: folders that may be absent.
        foregrounds: folders that may be absent, unless `images` is empty.
        lists: text files with the names of the split's files; without one the split is all that the folders hold.
        needs_list: True where the folders hold other splits too, so that a list must be there.
        numbered: several targets of one photo, or several composites of one target, are told apart by `_NUMBER` at
            the end of their stems.
    """

    targets: tuple[str, ...]
    kind: Kind
    images: tuple[str, ...] = ()
    trimaps: tuple[str, ...] = ()
    foregrounds: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    needs_list: bool = False
    numbered: bool = False

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """What must be there, each as its alternatives."""
        lists = (self.lists,) if self.needs_list else ()
        return (self.images or self.foregrounds, self.targets, *lists)


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Attributes:
        title: the set's usual name.
        folders: names the set's own folder goes by; it may be the given root or lie up to two levels below it.
        splits: split -> alternatives, each a tuple of parts that make up the split together.
        named: True where the inner folders are too common to tell the set: only its own folder's name does.
    """

    title: str
    folders: tuple[str, ...]
    splits: dict[str, tuple[tuple[Part, ...], ...]]
    named: bool = False


def _dis(*folders: str) -> tuple[tuple[Part, ...], ...]:
    return (tuple(Part((f"{folder}/gt",), "mask", (f"{folder}/im",)) for folder in folders),)


def _thin_object(split: str, hq_sam: str) -> tuple[tuple[Part, ...], ...]:
    lists = (f"list/{split}.txt", f"{split}.txt")
    return (
        (Part((f"masks_{hq_sam}",), "mask", (f"images_{hq_sam}",)),),
        (Part(("masks",), "mask", ("images",), lists=lists, needs_list=True),),
    )


def _am2k(folder: str) -> tuple[tuple[Part, ...], ...]:
    return (
        (
            Part(
                (f"{folder}/mask",),
                "alpha",
                (f"{folder}/original",),
                trimaps=(f"{folder}/trimap",),
                foregrounds=(f"{folder}/fg",),
            ),
        ),
    )


def _p3m(*folders: str) -> Part:
    def each(*names: str) -> tuple[str, ...]:
        return tuple(f"{folder}/{name}" for folder in folders for name in names)

    return Part(each("mask"), "alpha", each("original_image", "blurred_image"), each("trimap"), each("fg"))


def _foregrounds(folder: str, fg: tuple[str, ...], alpha: tuple[str, ...], lists: tuple[str, ...] = ()) -> Part:
    return Part(
        tuple(f"{folder}/{name}" for name in alpha),
        "alpha",
        foregrounds=tuple(f"{folder}/{name}" for name in fg),
        lists=lists,
    )


_THIN = ("thin_object_detection",)
_AIM500 = ((Part(("mask",), "alpha", ("original",), trimaps=("trimap",)),),)
_COIFT = ((Part(("masks",), "mask", ("images",)),),)
_HRSOD = ((Part(("masks_max255", "masks"), "mask", ("images",)),),)
_P3M_P = _p3m("validation/P3M-500-P", "validation1")
_P3M_NP = _p3m("validation/P3M-500-NP", "validation2")
_ADOBE_TEST = "Test_set/Adobe-licensed images"
_COMPOSITES = ("merged", "comp", "images", "image")

LAYOUTS: dict[str, Layout] = {
    "dis5k": Layout(
        "DIS5K",
        ("DIS5K",),
        {
            "train": _dis("DIS-TR"),
            "val": _dis("DIS-VD"),
            "te1": _dis("DIS-TE1"),
            "te2": _dis("DIS-TE2"),
            "te3": _dis("DIS-TE3"),
            "te4": _dis("DIS-TE4"),
            "test": _dis("DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4"),
        },
    ),
    "thinobject5k": Layout(
        "ThinObject5K",
        ("ThinObject5K", "thinobject5k_dataset", *_THIN),
        {
            "train": _thin_object("train", "train"),
            "val": _thin_object("val", "val"),
            "test": _thin_object("test", "test"),
        },
    ),
    "coift": Layout("COIFT", ("COIFT", *_THIN), {"test": _COIFT}, named=True),
    "hrsod": Layout("HRSOD", ("HRSOD", *_THIN), {"test": _HRSOD}, named=True),
    "composition1k": Layout(
        "Adobe Image Matting / Composition-1K",
        ("Combined_Dataset", "Adobe_Deep_Matting_Dataset", "adobe_composition-1k", "Composition-1k-testset"),
        {
            "train": (
                tuple(
                    _foregrounds(f"Training_set/{folder}", ("fg",), ("alpha",), ("Training_set/training_fg_names.txt",))
                    for folder in ("Adobe-licensed images", "Other")
                ),
                (
                    _foregrounds(
                        "Training_set", ("fg", "combined_fg"), ("alpha", "combined_alpha"), ("training_fg_names.txt",)
                    ),
                ),
            ),
            "test": (
                (
                    Part(
                        ("alpha_copy", "Test_set/alpha_copy", f"{_ADOBE_TEST}/alpha", "Test_set/alpha"),
                        "alpha",
                        ("merged", "Test_set/merged"),
                        trimaps=("trimaps", "Test_set/trimaps", f"{_ADOBE_TEST}/trimaps"),
                        numbered=True,
                    ),
                ),
            ),
            "test-foregrounds": (
                (_foregrounds(_ADOBE_TEST, ("fg",), ("alpha",), ("Test_set/test_fg_names.txt",)),),
                (_foregrounds("Test_set", ("fg",), ("alpha",), ("Test_set/test_fg_names.txt",)),),
            ),
        },
    ),
    "aim500": Layout("AIM-500", ("AIM-500",), {"train": _AIM500, "test": _AIM500}, named=True),
    "am2k": Layout("AM-2K", ("AM-2K",), {"train": _am2k("train"), "val": _am2k("validation")}),
    "p3m10k": Layout(
        "P3M-10k",
        ("P3M-10k",),
        {
            "train": ((_p3m("train"),),),
            "val-p": ((_P3M_P,),),
            "val-np": ((_P3M_NP,),),
            "val": ((_P3M_P, _P3M_NP),),
        },
    ),
    "refmatte": Layout(
        "RefMatte",
        ("RefMatte",),
        {
            "train": ((Part(("train/mask",), "alpha", ("train/img",), numbered=True),),),
            "test": ((Part(("test/mask",), "alpha", ("test/img",), numbered=True),),),
        },
    ),
    "refmatte-rw100": Layout(
        "RefMatte-RW100",
        ("RefMatte_RW_100",),
        # image_all repeats a photo for each of its targets, under the target's name.
        {"test": ((Part(("mask",), "alpha", ("image", "image_all"), numbered=True),),)},
        named=True,
    ),
    "distinctions646": Layout(
        "Distinctions-646",
        ("Distinctions-646",),
        {
            "train": ((_foregrounds("Train", ("FG",), ("GT", "alpha")),),),
            "test": (
                (
                    Part(
                        ("Test/GT", "Test/alpha"),
                        "alpha",
                        tuple(f"Test/{name}" for name in _COMPOSITES),
                        trimaps=("Test/trimaps", "Test/trimap"),
                        foregrounds=("Test/FG",),
                        numbered=True,
                    ),
                ),
            ),
            "test-foregrounds": ((_foregrounds("Test", ("FG",), ("GT", "alpha")),),),
        },
    ),
}

#: Layouts that are the project's own rather than a published set's.
SPLIT_CSV = "split-csv"
PLAIN = "plain"

_ALIASES = {"aim": "composition1k", "adobe": "composition1k", "rw100": "refmatte-rw100", "p3m": "p3m10k"}


def layout_names() -> tuple[str, ...]:
    """Every name `find_pairs` takes."""
    return (*LAYOUTS, SPLIT_CSV, PLAIN)


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
    name = _canonical(layout)
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


def _canonical(layout: str) -> str:
    def plainly(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.lower())

    known = {plainly(name): name for name in layout_names()} | _ALIASES
    if plainly(layout) not in known:
        raise DatasetError(f"Unknown data layout {layout!r}. Choose one of {', '.join(layout_names())}.")
    return known[plainly(layout)]


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
