"""Pictures on disk: read any photo as sRGB bytes, write masks and cut-outs whole or not at all."""

from __future__ import annotations

from sama_core.image_files.reading import LoadedImage, load_image, read_image, read_mask
from sama_core.image_files.writing import WRITE_FORMATS, NoRoom, check_output, check_room, save_cutout, save_mask

__all__ = [
    "WRITE_FORMATS",
    "LoadedImage",
    "NoRoom",
    "check_output",
    "check_room",
    "load_image",
    "read_image",
    "read_mask",
    "save_cutout",
    "save_mask",
]
