"""Which paths came with the file that an image was opened from. No GIMP in here.

GIMP does not tell. An XCF says at its head which number its items had reached when it was saved; other files keep
paths as Photoshop's image resources 2000 to 2997, by name.
"""

from __future__ import annotations

import gzip
import mmap
import struct
from pathlib import Path
from typing import Optional, Set

_XCF = b"gimp xcf "
_HEAD_BYTES = 1 << 20
_TATTOO_STATE, _END = 20, 0
_RESOURCE = b"8BIM"
_FIRST_PATH, _LAST_PATH, _WORK_PATH = 2000, 2997, 1025
_MOST_NAMES = 1000


def xcf_tattoo_state(file: Path) -> Optional[int]:
    """Return the highest tattoo that an item could have in this XCF, or None when it cannot be read as one."""
    try:
        with file.open("rb") as raw:
            head = raw.read(_HEAD_BYTES)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(str(file)) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
    except (OSError, EOFError, ValueError):
        return None
    # Name and version, width, height, base type; a precision since version 4.
    if not head.startswith(_XCF):
        return None
    at = 14 + 12 + (0 if head[9:13] in (b"file", b"v001", b"v002", b"v003") else 4)
    try:
        while True:
            kind, size = struct.unpack_from(">II", head, at)
            if kind == _TATTOO_STATE and size == 4:
                return struct.unpack_from(">I", head, at + 8)[0]
            if kind == _END:
                return None
            at += 8 + size
    except struct.error:
        return None


def resource_path_names(file: Path) -> Set[str]:
    """Return the names of the paths in a PSD, TIFF or JPEG; empty for a file that has none or cannot be read."""
    names: Set[str] = set()
    try:
        with file.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(_RESOURCE)
            while at >= 0 and len(names) < _MOST_NAMES:
                number = int.from_bytes(data[at + 4 : at + 6], "big")
                if _FIRST_PATH <= number <= _LAST_PATH or number == _WORK_PATH:
                    name = data[at + 7 : at + 7 + (data[at + 6] if at + 6 < len(data) else 0)]
                    names |= {name.decode(encoding, "replace") for encoding in ("utf-8", "mac_roman", "latin-1")}
                at = data.find(_RESOURCE, at + 4)
    except (OSError, ValueError):
        return names
    return names
