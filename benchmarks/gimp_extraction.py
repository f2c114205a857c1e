"""GIMP's own foreground extraction, run in real GIMP 3, for benchmarks; needs `tests/gimp` on the path."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from sandbox import GimpError, GimpSession

from sama_core.evaluation import trimap_matting
from sama_core.evaluation.segmenters import INSIDE, OUTSIDE, click_seeds

#: "global" is what the procedure runs, with two iterations: nothing else can be asked of it. "levin" is what the
#: Foreground Select tool starts with; the filter is run with the tool's settings.
Engine = Literal["global", "levin"]
#: How long one photo may take, seconds.
_PATIENCE = 300

_OPEN = """
import time
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r}))
layer = image.get_layers()[0]
width, height = image.get_width(), image.get_height()
whole = Gegl.Rectangle.new(0, 0, width, height)
trimap = Gimp.Channel.new(image, "trimap", width, height, 100.0, Gegl.Color.new("black"))
image.insert_channel(trimap, None, 0)
"""
_TRIMAP = """
Gimp.Selection.none(image)
buffer = trimap.get_buffer()
with open({trimap!r}, "rb") as file:
    buffer.set(whole, "Y' u8", file.read())
buffer.flush()
trimap.update(0, 0, width, height)
"""
_GLOBAL = """
began = time.perf_counter()
layer.foreground_extract(Gimp.ForegroundExtractMode.MATTING, trimap)
seconds = time.perf_counter() - began
done, error = pdb.get_last_status() == Gimp.PDBStatusType.SUCCESS, pdb.get_last_error()
matte = image.get_selection()
"""
_LEVIN = """
# the filter leaves the matte in place of the layer, so it gets a copy
matte = layer.copy()
image.insert_layer(matte, None, 0)
extraction = Gimp.DrawableFilter.new(matte, "gegl:matting-levin", "")
extraction.get_config().set_property("levels", 2)
extraction.get_config().set_property("active-levels", 2)
extraction.set_aux_input("aux", trimap)
extraction.set_blend_mode(Gimp.LayerMode.REPLACE)
extraction.update()
began = time.perf_counter()
matte.merge_filter(extraction)
seconds = time.perf_counter() - began
done, error = pdb.get_last_status() == Gimp.PDBStatusType.SUCCESS, pdb.get_last_error()
"""
_READ = """
with open({alpha!r}, "wb") as file:
    file.write(matte.get_buffer().get(whole, 1.0, "Y u8", Gegl.AbyssPolicy.NONE))
if isinstance(matte, Gimp.Layer):
    image.remove_layer(matte)
print(json.dumps([done, error, seconds]))
"""


class ForegroundExtraction:
    """One photo in a running GIMP, matted from one trimap after the other.

    Args:
        session: the running GIMP; `image`, `layer` and a few more of its global names are taken.
    """

    def __init__(self, session: GimpSession, engine: Engine) -> None:
        self._session, self._engine = session, engine
        self._size = (0, 0)
        self._open = False

    def begin(self, rgb: np.ndarray) -> None:
        """Open the photo, H×W×3 uint8, in place of the one before.

        Raises:
            GimpError: GIMP could not.
        """
        self.close()
        self._size = (rgb.shape[0], rgb.shape[1])
        photo = self._session.files / "photo.png"
        Image.fromarray(rgb).save(photo, compress_level=1)
        self._session.run(_OPEN.format(photo=str(photo)))
        self._open = True

    def close(self) -> None:
        """Close the photo."""
        if self._open:
            self._session.run("image.delete()")
        self._open = False

    def matte(self, trimap: np.ndarray) -> tuple[np.ndarray, float]:
        """Alpha, H×W uint8, and the seconds of the extraction alone, measured inside GIMP.

        Args:
            trimap: H×W uint8, 0 outside, 255 inside, all else unknown.

        Raises:
            GimpError: GIMP did not do it, with its own words.
        """
        source, target = self._session.files / "trimap.raw", self._session.files / "alpha.raw"
        source.write_bytes(trimap.tobytes())
        target.unlink(missing_ok=True)
        extract = _GLOBAL if self._engine == "global" else _LEVIN
        code = (_TRIMAP + extract + _READ).format(trimap=str(source), alpha=str(target))
        done, error, seconds = self._session.json(code, timeout=_PATIENCE)
        if not done:
            raise GimpError(f"GIMP's foreground extraction failed: {error}")
        return np.frombuffer(target.read_bytes(), np.uint8).reshape(self._size), seconds


class GimpSegmenter:
    """Foreground extraction given clicks: a disk around each is known, as a first stroke, and so is the photo's border.

    Attributes:
        seconds: what the last extraction took inside GIMP.
    """

    def __init__(self, name: str, extraction: ForegroundExtraction) -> None:
        self.name = name
        self.seconds = 0.0
        self._extraction = extraction
        self._size = (0, 0)

    def begin(self, rgb: np.ndarray) -> None:
        """Open the photo."""
        self._size = (rgb.shape[0], rgb.shape[1])
        self._extraction.begin(rgb)

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks."""
        seeds = click_seeds(self._size, points, labels)
        trimap = np.full(self._size, trimap_matting.UNKNOWN, np.uint8)
        trimap[seeds == INSIDE], trimap[seeds == OUTSIDE] = trimap_matting.INSIDE, trimap_matting.OUTSIDE
        alpha, self.seconds = self._extraction.matte(trimap)
        return alpha > 127
