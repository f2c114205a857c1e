"""The file that says what to cut out of which photo: JSON, described in docs/batch.md."""

from __future__ import annotations

import difflib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from sama_core.errors import BatchError
from sama_core.matte_methods import DEFAULT, METHODS, MatteMethod

FORMAT = 1
#: The batch's own folder among the outputs.
OWN_FOLDER = ".sama-batch"
_MAX_BYTES = 64 << 20
_OUTPUTS = (".png", ".tif", ".tiff", ".webp")
_KINDS = ("select", "matte")
_OPTIONS: dict[str, Any] = {"kind": "matte", "alpha_only": False, "decontaminate": True, "method": DEFAULT}
_PROMPT = ("points", "labels", "exclude", "box", "mask", "output")


@dataclass(frozen=True)
class PhotoPrompt:
    """What to do with one photo.

    Attributes:
        photo: its name in the folder of photos, with “/” between folders.
        output: the name of what is made of it, in the folder of outputs.
        points: (x, y) in pixels of the upright photo, from the outer corner of its top left pixel.
        labels: for each point, 1 = on the thing, 0 = off it.
        box: (left, top, right, bottom) in pixels, or None.
        mask: name of a rough mask of the photo's size, beside the prompts' file; empty for none.
        kind: "select" makes a soft mask, "matte" a cut-out with transparency.
        alpha_only: of a matte, write alpha as a grey picture instead of the cut-out.
        decontaminate: clean the background's colour from the cut-out's edge.
        method: of a matte, as `Engine.matte` has it.
    """

    photo: str
    output: str
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, ...] | None = None
    mask: str = ""
    kind: Literal["select", "matte"] = "matte"
    alpha_only: bool = False
    decontaminate: bool = True
    method: MatteMethod = DEFAULT


class _Wrong(Exception):
    """`str()` is where and what: “photos, cat.jpg, box: …”."""


def read_prompts(path: Path) -> list[PhotoPrompt]:
    """Read and check a whole prompts' file; the photos come in its order.

    Raises:
        BatchError: it cannot be read, or says something that cannot be meant; with the place in it.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BatchError(f"{path} is larger than {_MAX_BYTES >> 20} MB. Split it into several batches.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror or error}. Check its name.") from error
    except UnicodeDecodeError as error:
        raise BatchError(f"{path} is no UTF-8 text. Save it as UTF-8.") from error
    try:
        document = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
        return _document(document)
    except json.JSONDecodeError as error:
        raise BatchError(
            f"{path} is no valid JSON: {error.msg} in line {error.lineno}, column {error.colno}. Mend it there."
        ) from error
    except RecursionError as error:
        raise BatchError(f"{path} is no valid JSON: its brackets are nested too deeply. Mend it.") from error
    except _Wrong as error:
        raise BatchError(f"{path}: {error}. docs/batch.md describes the file.") from error


def _document(document: Any) -> list[PhotoPrompt]:
    _object(document, "the file", ("version", "defaults", "photos"))
    if document.get("version") != FORMAT:
        raise _Wrong(f'it must say "version": {FORMAT}')
    defaults = dict(_OPTIONS)
    if "defaults" in document:
        _object(document["defaults"], "defaults", tuple(_OPTIONS))
        defaults.update(_options(document["defaults"], "defaults"))
    photos = document.get("photos")
    if not isinstance(photos, dict) or not photos:
        raise _Wrong(
            '"photos" must be an object with an entry for each photo, such as {"cat.jpg": {"box": [0, 0, 9, 9]}}'
        )
    prompts = [_photo(name, entry, defaults) for name, entry in photos.items()]
    _refuse_collisions(prompts)
    return prompts


def _photo(name: str, entry: Any, defaults: dict[str, Any]) -> PhotoPrompt:
    where = f"photos, “{name}”"
    _relative(name, where)
    _object(entry, where, (*_PROMPT, *_OPTIONS))
    points = _points(entry.get("points", []), f"{where}, points")
    labels = [1] * len(points)
    if "labels" in entry:
        labels = entry["labels"]
        if not isinstance(labels, list) or any(type(label) is not int or label not in (0, 1) for label in labels):
            raise _Wrong(f"{where}, labels: must be a list of 1 (on the thing) and 0 (off it)")
        if len(labels) != len(points):
            raise _Wrong(f"{where}: there are {len(points)} points but {len(labels)} labels; give one for each point")
    excluded = _points(entry.get("exclude", []), f"{where}, exclude")
    box = None
    if entry.get("box") is not None:
        box = _numbers(entry["box"], 4, f"{where}, box: must be [left, top, right, bottom] in pixels")
    mask = entry.get("mask", "")
    if not isinstance(mask, str):
        raise _Wrong(f"{where}, mask: must be the name of a picture beside this file")
    if mask:
        _relative(mask, f"{where}, mask")
    labels = [*labels, *[0] * len(excluded)]
    if 1 not in labels and box is None and not mask:
        raise _Wrong(f"{where}: says nothing of the thing itself; give points on it, a box or a mask")
    output = entry.get("output", str(PurePosixPath(name).with_suffix(".png")))
    if not isinstance(output, str):
        raise _Wrong(f"{where}, output: must be a file name")
    _relative(output, f"{where}, output")
    if not output.lower().endswith(_OUTPUTS):
        raise _Wrong(f"{where}, output: must end with {', '.join(_OUTPUTS)}")
    options = {**defaults, **_options(entry, where)}
    return PhotoPrompt(name, output, (*points, *excluded), tuple(labels), box, mask, **options)


def _options(entry: dict[str, Any], where: str) -> dict[str, Any]:
    options = {key: entry[key] for key in _OPTIONS if key in entry}
    for key, allowed in (("kind", _KINDS), ("method", METHODS)):
        if key in options and options[key] not in allowed:
            raise _Wrong(f"{where}, {key}: must be one of {', '.join(allowed)}")
    for key in ("alpha_only", "decontaminate"):
        if key in options and not isinstance(options[key], bool):
            raise _Wrong(f"{where}, {key}: must be true or false")
    return options


def _points(value: Any, where: str) -> list[tuple[float, float]]:
    if not isinstance(value, list):
        raise _Wrong(f"{where}: must be a list of points [x, y] in pixels")
    points = []
    for point in value:
        x, y = _numbers(point, 2, f"{where}: must be a list of points [x, y] in pixels")
        points.append((x, y))
    return points


def _numbers(value: Any, count: int, wrong: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise _Wrong(wrong)
    for number in value:
        # bool is an int to Python, and 1e999 is infinite
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < 1e9:
            raise _Wrong(wrong)
    return tuple(float(number) for number in value)


def _object(value: Any, where: str, keys: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise _Wrong(f"{where}: must be an object {{…}}")
    for key in value:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            raise _Wrong(
                f"{where}: there is no setting “{key}”; "
                + (f"did you mean {near[0]}?" if near else f"it has {', '.join(keys)}")
            )


def _relative(name: str, where: str) -> None:
    """Refuse names that lead out of their folder, on any system."""
    parts = name.split("/")
    if (
        not name
        or any(part in ("", ".", "..") for part in parts)
        or parts[0] == OWN_FOLDER
        or any(character in "\\:" or ord(character) < 32 for character in name)
    ):
        raise _Wrong(f"{where}: “{name}” is no file name within the folder")


def _refuse_collisions(prompts: list[PhotoPrompt]) -> None:
    """Two photos must not make one file, also where the file system does not tell Cat.png from cat.png."""
    taken: dict[str, str] = {}
    for prompt in prompts:
        key = unicodedata.normalize("NFC", prompt.output).casefold()
        if key in taken:
            raise _Wrong(
                f"“{taken[key]}” and “{prompt.photo}” would both be written to {prompt.output}; "
                'give one of them another "output"'
            )
        taken[key] = prompt.photo


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise _Wrong(f"“{double}” is there twice; only one of them can be meant")
    return found


def _no_constant(name: str) -> float:
    raise _Wrong(f"{name} is no number that a photo has")
