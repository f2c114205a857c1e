"""What fuzzing does to bytes, and what may come out of it."""

from __future__ import annotations

from hypothesis import strategies as st

from sama_core.errors import SamaError

#: No user reads a longer message.
MAX_MESSAGE = 1000

_NUMBERS = [0, 1, 127, 128, 255]
_WORDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\x7f"]


@st.composite
def mutated(draw: st.DrawFn, seed: bytes, most: int = 6) -> bytes:
    """`seed` with a few bytes changed, cut out, doubled or put in, and perhaps cut short."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, most))):
        if not data:
            break
        # Headers are at the beginning: half of the edits go there.
        end = len(data) - 1
        at = draw(st.integers(0, min(end, 128)) | st.integers(0, end))
        kind = draw(st.sampled_from(("byte", "word", "cut", "double", "put", "short")))
        if kind == "byte":
            data[at] = draw(st.sampled_from(_NUMBERS) | st.integers(0, 255))
        elif kind == "word":
            word = draw(st.sampled_from(_WORDS) | st.binary(min_size=4, max_size=4))
            data[at : at + 4] = word[: len(data) - at]
        elif kind == "short":
            del data[at:]
        else:
            length = draw(st.integers(1, 64))
            piece = bytes(data[at : at + length])
            if kind == "cut":
                del data[at : at + length]
            elif kind == "double":
                data[at:at] = piece
            else:
                data[at:at] = draw(st.binary(min_size=1, max_size=64))
    return bytes(data)


def assert_helpful(error: BaseException) -> None:
    """One of the project's own errors, with a text made for a person."""
    assert isinstance(error, SamaError), error
    text = str(error)
    assert text.endswith("."), text
    assert 10 < len(text) <= MAX_MESSAGE, (len(text), text[:200])
    assert "\n" not in text, text
