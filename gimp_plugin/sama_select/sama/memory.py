"""What an image remembers of the runs on it: which paths were chosen, and what paths and selection were like.

GIMP keeps the last values of all arguments but paths, and does not tell what of an image is new. Both are kept in a
parasite of the image, which goes into its XCF and into its duplicates. It is written without an undo step when the
dialog is answered, and again within the run's own undo step, as part of it; undoing that brings back the former, so
that the choice outlives Ctrl+Z.
"""

from __future__ import annotations

import json
import zlib
from typing import Dict, List, NamedTuple, Optional, Tuple

from gi.repository import Gimp

from . import pixels

NAME = "sama-gimp-prompt"
INCLUDE, EXCLUDE = "include", "exclude"
PATHS, SELECTION = "paths", "selection"
#: Flags of a parasite: it goes into the file, and it is attached and detached by undo.
_PERSISTENT, _UNDOABLE = 1, 2
#: Far more than is ever written; a file may come from anybody.
_MOST_BYTES, _MOST_PATHS = 1 << 16, 500


class Seen(NamedTuple):
    """What the last run saw, or left behind: checksums of the paths by tattoo, of the selection, and which was used."""

    paths: Dict[str, int]
    selection: int
    used: str


def chosen(image) -> Tuple[Optional[Gimp.Path], Optional[Gimp.Path], List[str]]:
    """Return the paths last chosen for this image to include and to exclude, and a note for each that is gone."""
    kept, notes = _read(image), []
    found = []
    for role, label in ((INCLUDE, "Clicks on the thing"), (EXCLUDE, "Clicks on what to leave out")):
        wanted = kept.get(role)
        path = _find(image, wanted) if isinstance(wanted, dict) else None
        if path is None and isinstance(wanted, dict):
            notes.append("The path chosen before at “%s” is gone: it was chosen anew by itself." % label)
        found.append(path)
    return found[0], found[1], notes


def choose(image, include: Optional[Gimp.Path], exclude: Optional[Gimp.Path]) -> None:
    """Remember what was chosen in the dialog; None is what finds itself. Leaves no undo step and no change to save."""
    kept = _read(image)
    roles = {INCLUDE: include, EXCLUDE: exclude}
    if not any(roles.values()) and not any(kept.get(role) for role in roles):
        return
    for role, path in roles.items():
        kept[role] = path and {
            "tattoo": path.get_tattoo(),
            "name": path.get_name(),
            "image": image.get_id(),
            "state": image.get_tattoo_state(),
        }
    _write(image, kept, 0)


def seen(image) -> Optional[Seen]:
    """Return what the last run on this image saw, or None when there was none."""
    kept = _read(image).get("seen") or {}
    try:
        paths = {str(tattoo): int(checksum) for tattoo, checksum in kept["paths"].items()}
        return Seen(paths, int(kept["selection"]), str(kept["used"]))
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def keep(image, used: str) -> None:
    """Write down what paths and selection are like after a run, as a part of its undo step.

    Args:
        image: the image, when the result is in place.
        used: PATHS or SELECTION, whichever said where the thing was.
    """
    kept = _read(image)
    paths = {str(path.get_tattoo()): path_checksum(path) for path in image.get_paths()[:_MOST_PATHS]}
    kept["seen"] = {"paths": paths, "selection": selection_checksum(image), "used": used}
    _write(image, kept, _PERSISTENT | _UNDOABLE)


def path_checksum(path) -> int:
    """A number that changes with every anchor of the path."""
    strokes = [path.stroke_get_points(stroke)[1:] for stroke in path.get_strokes()]
    numbers = [([round(number, 3) for number in points], bool(closed)) for points, closed in strokes]
    return zlib.crc32(repr(numbers).encode("ascii"))


def selection_checksum(image) -> int:
    """A number that changes with every pixel of the selection; 0 when nothing is selected."""
    if Gimp.Selection.is_empty(image):
        return 0
    return zlib.crc32(pixels.read(image.get_selection(), pixels.MASK))


def _find(image, wanted):
    """The path that is meant, renamed or in a duplicate of the image; a new path of an old name is another one.

    Tattoos are never used twice in an image and last in its file, but a duplicate's are all new; names are kept there.
    """
    paths = image.get_paths()
    by_tattoo = next((path for path in paths if path.get_tattoo() == wanted.get("tattoo")), None)
    by_name = next((path for path in paths if path.get_name() == wanted.get("name")), None)
    if by_tattoo is not None and by_tattoo == by_name:
        return by_tattoo
    state = wanted.get("state")
    if not isinstance(state, int) or image.get_tattoo_state() < state:
        # No image has ever fewer tattoos than before: this one is a duplicate.
        return by_name
    if image.get_id() != wanted.get("image") and by_tattoo is not None and by_name is not None:
        return by_name
    return by_tattoo


def _read(image) -> dict:
    parasite = image.get_parasite(NAME)
    if parasite is None:
        return {}
    data = bytes(parasite.get_data())
    try:
        kept = json.loads(data.decode("utf-8")) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(image, kept, flags):
    image.attach_parasite(Gimp.Parasite.new(NAME, flags, json.dumps(kept).encode("ascii")))
