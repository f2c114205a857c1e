"""The wire format of docs/protocol.md: reading requests, writing events and answers."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sama_core.errors import InvalidImage, InvalidPrompt, SamaError
from sama_core.images import MAX_PIXELS, MAX_SIDE
from sama_core.matte_methods import DEFAULT, METHODS, MatteMethod
from sama_core.prompts import Prompt
from sama_core.weights import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sama_core.inference.request import Answer

STREAM_TYPE = "application/x-sama-stream"

_ID = re.compile(r"[0-9a-f]{64}")
_FIELDS = frozenset({"image", "model", "points", "labels", "box", "mask", "decontaminate", "method"})


class RequestError(SamaError):
    """A request that the engine refuses before any work: `code` and `status` are those of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def malformed(message: str) -> RequestError:
    """Return the error for a request that does not follow the protocol."""
    return RequestError(400, "malformed", message)


def too_large(message: str) -> RequestError:
    """Return the error for a body or an image over the caps."""
    return RequestError(413, "too_large", message)


def error_body(error: SamaError) -> bytes:
    """Return the JSON body of an error answer."""
    return json.dumps({"code": error.code, "message": str(error)}).encode()


def error_event(error: SamaError) -> dict[str, Any]:
    """Return the event that ends a stream without an answer."""
    return {"event": "error", "code": error.code, "status": error.status, "message": str(error)}


def event_line(event: dict[str, Any]) -> bytes:
    """Return an event as one line of JSON."""
    return json.dumps(event, allow_nan=False).encode() + b"\n"


def is_image_id(text: str) -> bool:
    """Say whether `text` can be the name of an image at all."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class JobRequest:
    """The JSON line of select and matte, checked for form but not yet against the image."""

    image: str
    model: str
    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    box: tuple[float, ...] | None
    has_mask: bool
    decontaminate: bool
    method: MatteMethod

    def prompt(self, mask: np.ndarray | None, height: int, width: int) -> Prompt:
        """Return the prompt, validated against an image of that size.

        Raises:
            InvalidPrompt: it cannot be used with this image.
        """
        prompt = Prompt(points=self.points, labels=self.labels, box=self.box, mask=mask)
        return prompt.validated(height, width)


def parse_job(line: bytes) -> JobRequest:
    """Read the JSON line of select and matte.

    Raises:
        RequestError: 400, with what is wrong.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise malformed("The request's first line is not JSON. Update the plug-in and the engine together.") from None
    if not isinstance(fields, dict):
        raise malformed("The request's first line must be a JSON object.")
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise malformed(
            f"The request has fields this engine does not know: {', '.join(map(repr, unknown))[:200]}. "
            "Update the plug-in and the engine together."
        )
    image = fields.get("image")
    if not isinstance(image, str) or not is_image_id(image):
        raise malformed("'image' must be the hex SHA-256 that names the picture.")
    model = fields.get("model", registry.DEFAULT)
    if not isinstance(model, str):
        raise malformed("'model' must be a text.")
    points = tuple(_numbers(point, "points", 2) for point in _list(fields.get("points"), "points"))
    labels = tuple(_label(label) for label in _list(fields.get("labels"), "labels"))
    box = fields.get("box")
    return JobRequest(
        image=image,
        model=model,
        points=tuple((x, y) for x, y in points),
        labels=labels,
        box=None if box is None else _numbers(box, "box", 4),
        has_mask=_flag(fields, "mask"),
        decontaminate=_flag(fields, "decontaminate"),
        method=_method(fields.get("method", DEFAULT)),
    )


def _list(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise malformed(f"'{name}' must be a list.")
    return value


def _numbers(value: object, name: str, count: int) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise malformed(f"'{name}' must hold {count} numbers each time.")
    if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in value):
        raise malformed(f"'{name}' must hold {count} numbers each time.")
    try:
        return tuple(float(number) for number in value)
    except OverflowError:
        raise malformed(f"'{name}' holds a number that is too large.") from None


def _label(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1):
        raise InvalidPrompt("A label must be 1 (include) or 0 (exclude).")
    return value


def _method(value: object) -> MatteMethod:
    for method in METHODS:
        if value == method:
            return method
    raise malformed(f"'method' must be one of {', '.join(METHODS)}.")


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise malformed(f"'{name}' must be true or false.")
    return value


def image_size(width: str | None, height: str | None) -> tuple[int, int]:
    """Return (width, height) from the headers `X-Width` and `X-Height`.

    Raises:
        RequestError: 400 when they are no numbers, 413 when the image is over the cap.
        InvalidImage: the image has no pixel.
    """
    if not _is_count(width) or not _is_count(height):
        raise malformed("X-Width and X-Height must be whole numbers of pixels.")
    columns, rows = int(width or 0), int(height or 0)
    if columns > MAX_SIDE or rows > MAX_SIDE or columns * rows > MAX_PIXELS:
        raise too_large(
            f"The picture is {columns}×{rows}; the engine takes up to {MAX_PIXELS // 1_000_000} megapixels "
            f"and {MAX_SIDE} pixels a side. Work on a smaller copy or a crop."
        )
    if columns == 0 or rows == 0:
        raise InvalidImage(f"The picture is {columns}×{rows} and has no pixel. Choose another layer.")
    return columns, rows


def _is_count(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit() and len(text) <= 9


def decode_mask(body: bytes | bytearray | memoryview, height: int, width: int) -> np.ndarray:
    """Return the mask (H×W uint8) from its zlib-compressed bytes, never unpacking more than H·W bytes.

    Raises:
        RequestError: 400 when the bytes are no zlib stream of exactly H·W bytes.
    """
    size = height * width
    unpacker = zlib.decompressobj()
    try:
        # One byte more than allowed tells a stream that is too long from one that just fits.
        data = unpacker.decompress(body, size + 1)
    except zlib.error:
        raise malformed("The mask is not zlib-compressed. Update the plug-in and the engine together.") from None
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise malformed(f"The mask does not unpack to {width}×{height} bytes. Send one byte for each pixel.")
    return np.frombuffer(data, np.uint8).reshape(height, width)


def answer_event(answer: Answer) -> dict[str, Any]:
    """Return the event that ends a stream with an answer; `answer_payload` follows it."""
    height, width = answer.alpha.shape
    return {
        "event": "answer",
        "width": width,
        "height": height,
        "score": _finite(answer.score),
        "notes": list(answer.notes),
        "device": answer.device,
        "seconds": {name: _finite(value) for name, value in answer.seconds.items()},
        "alpha_bytes": answer.alpha.size,
        "foreground_bytes": 0 if answer.foreground is None else answer.foreground.size,
    }


def answer_payload(answer: Answer, chunk: int) -> Iterator[memoryview]:
    """Yield the bytes after the answer's line, alpha and then foreground, in pieces of `chunk` bytes."""
    for array in (answer.alpha, answer.foreground):
        if array is None:
            continue
        flat = np.ascontiguousarray(array, np.uint8).reshape(-1).data
        for start in range(0, len(flat), chunk):
            yield flat[start : start + chunk]


def _finite(value: float) -> float:
    number = float(value)
    return round(number, 6) if math.isfinite(number) else 0.0
