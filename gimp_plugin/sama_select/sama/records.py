"""What SAMA notes on a result, so that the next run knows it again and can start from the same picture. No GIMP here.

A note travels in image files, and may come from anybody: what does not make sense is as good as no note.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from array import array
from typing import NamedTuple, Optional, Tuple, Union

#: Kinds of results. A mask's note is on the mask, the others' on their layer.
MASK, ALPHA, CUT_OUT = "mask", "alpha", "cut-out"
#: What a layer's alpha was before: the layer had none, or all of it was opaque. Else it is a Plane.
NONE, OPAQUE = "none", "opaque"
_BYTES = {"u8": 1, "u16": 2}


class Plane(NamedTuple):
    """A picture of one channel, as it was before the result: linear coverage, row-major, native byte order.

    `depth` is u8 or u16; `data` has width·height values of that.
    """

    width: int
    height: int
    depth: str
    data: bytes


class Record(NamedTuple):
    """One result.

    Attributes:
        kind: MASK, ALPHA or CUT_OUT.
        digest: of the result's pixels as SAMA wrote them; others mean that the user has changed them since.
        clicks: the prompt in the source's coordinates, as `Prompt.request` gives it.
        visible: it was made from the picture as shown.
        source: the mark on the layer that a cut-out was made from, "" for other kinds.
        tattoo: GIMP's tattoo of that layer, which tells it from a duplicate of it.
        place: of a cut-out: its offset from that layer's, or from the canvas' when `visible`.
        alpha: of kind ALPHA: the layer's alpha before: NONE, OPAQUE or a Plane.
        mask: of kinds MASK and ALPHA: the mask of the user's own that takes part in the result.
    """

    kind: str
    digest: str
    clicks: dict
    visible: bool = False
    source: str = ""
    tattoo: int = 0
    place: Tuple[int, int] = (0, 0)
    alpha: Union[str, Plane] = NONE
    mask: Optional[Plane] = None


def encode(record: Record) -> bytes:
    """Return the note as ASCII bytes."""
    fields = record._asdict()
    fields.update(version=1, alpha=_packed(record.alpha), mask=_packed(record.mask))
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode(note: bytes, size: Tuple[int, int]) -> Optional[Record]:
    """Return the record, or None for what is not one.

    Args:
        note: what `encode` has made, or anything.
        size: width and height of the layer now. A note whose planes have another size is none: a layer that was
            scaled or cropped since cannot have its old alpha back.
    """
    try:
        fields = json.loads(note)
        if fields["version"] != 1 or fields["kind"] not in (MASK, ALPHA, CUT_OUT):
            return None
        if not isinstance(fields["clicks"], dict):
            return None
        x, y = (int(number) for number in fields["place"])
        mask = _unpacked(fields["mask"], size)
        alpha = fields["alpha"] if fields["alpha"] in (NONE, OPAQUE) else _unpacked(fields["alpha"], size)
        if alpha is None:
            return None
        source, digest, tattoo = str(fields["source"]), str(fields["digest"]), int(fields["tattoo"])
        visible = fields["visible"] is True
        return Record(fields["kind"], digest, fields["clicks"], visible, source, tattoo, (x, y), alpha, mask)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error, binascii.Error):
        return None


def moved(clicks: dict, x: float, y: float) -> dict:
    """Return a prompt's points and box in coordinates whose origin lies at (-x, -y) of the present ones."""
    there = dict(clicks)
    if "points" in clicks:
        there["points"] = [[u + x, v + y] for u, v in clicks["points"]]
    if "box" in clicks:
        there["box"] = [number + step for number, step in zip(clicks["box"], (x, y, x, y))]
    return there


def same_thing(first: dict, second: dict) -> bool:
    """Say whether two prompts are about one thing: they share a click on it, or the region drawn around it."""
    clicks, others = _on_it(first), _on_it(second)
    if clicks or others:
        return any(abs(x - u) < 1 and abs(y - v) < 1 for x, y in clicks for u, v in others)
    return first.get("box") is not None and first.get("box") == second.get("box")


def product(first: Plane, second: Plane) -> Plane:
    """Return the coverage that two planes of one size and depth have together."""
    code, most = {"u8": ("B", 255), "u16": ("H", 65535)}[first.depth]
    pairs = zip(array(code, first.data), array(code, second.data))
    data = array(code, ((2 * a * b + most) // (2 * most) for a, b in pairs)).tobytes()
    return first._replace(data=data)


def _on_it(prompt):
    try:
        return [(float(x), float(y)) for (x, y), label in zip(prompt["points"], prompt["labels"]) if label == 1]
    except (KeyError, TypeError, ValueError):
        return []


def _packed(plane):
    if not isinstance(plane, Plane):
        return plane
    packed = base64.b64encode(zlib.compress(plane.data, 6)).decode("ascii")
    return {"width": plane.width, "height": plane.height, "depth": plane.depth, "data": packed}


def _unpacked(fields, size):
    """A plane, or None for none. ValueError: it has another size than the layer, or spoilt data."""
    if fields is None:
        return None
    width, height, depth = fields["width"], fields["height"], fields["depth"]
    if (width, height) != tuple(size):
        raise ValueError("another size")
    length = width * height * _BYTES[depth]
    inflate = zlib.decompressobj()
    data = inflate.decompress(base64.b64decode(fields["data"], validate=True), length + 1)
    if len(data) != length:
        raise ValueError("another length")
    return Plane(width, height, depth, data)
