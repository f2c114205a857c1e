"""How the public data sets unpack: which folders hold photos, masks, mattes, trimaps and foregrounds.

Every layout is a row of `LAYOUTS`. Folder names follow the releases and the loaders in common use: HQ-SAM for DIS5K,
ThinObject5K, COIFT and HRSOD; GFM, AIM and P3M for AM-2K, AIM-500 and P3M-10k; Matting Anything for RefMatte; the Deep
Image Matting composition script (also in MMEditing and MatteFormer) for Composition-1K. Where releases differ, the
alternatives are listed in order of preference. `pairs` finds the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sama_core.errors import DatasetError

#: What targets are: masks of 0 and 255, or alpha mattes × 255.
Kind = Literal["mask", "alpha"]


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


def canonical(layout: str) -> str:
    """A layout's name as `LAYOUTS` has it, from any spelling of it: case, dashes, dots and underscores do not matter.

    Raises:
        DatasetError: there is no such layout.
    """

    def plainly(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.lower())

    known = {plainly(name): name for name in layout_names()} | _ALIASES
    if plainly(layout) not in known:
        raise DatasetError(f"Unknown data layout {layout!r}. Choose one of {', '.join(layout_names())}.")
    return known[plainly(layout)]
