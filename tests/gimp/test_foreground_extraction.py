"""GIMP's own foreground extraction, as `benchmarks/peers.py` runs it."""

from __future__ import annotations

import numpy as np
import pytest
from gimp_extraction import ForegroundExtraction, GimpSegmenter
from sandbox import GimpError, GimpSession

from sama_core.evaluation.metrics import iou
from sama_core.evaluation.trimap_matting import trimap_around


@pytest.fixture
def disk() -> np.ndarray:
    rows, columns = np.indices((90, 120))
    return np.hypot(rows - 44, columns - 64) < 26


@pytest.fixture
def photo(disk: np.ndarray) -> np.ndarray:
    clean = np.where(disk[..., None], (210, 70, 50), (30, 90, 70))
    return (clean + np.random.default_rng(0).integers(-8, 9, clean.shape)).astype(np.uint8)


@pytest.mark.parametrize("engine", ["global", "levin"])
def test_a_trimap_and_clicks_cut_a_disk_out(gimp: GimpSession, photo: np.ndarray, disk: np.ndarray, engine):
    extraction = ForegroundExtraction(gimp, engine)
    extraction.begin(photo)
    trimap = trimap_around(disk, 5)
    alpha, seconds = extraction.matte(trimap)
    assert seconds > 0
    assert (alpha[trimap == 255] > 250).all()
    assert (alpha[trimap == 0] < 5).all()
    everywhere = np.ones_like(disk)
    assert iou(alpha > 127, disk, everywhere) > 0.9
    segmenter = GimpSegmenter("GIMP", extraction)
    segmenter.begin(photo)
    assert iou(segmenter.click([(64, 44), (10, 80)], [1, 0]), disk, everywhere) > 0.9
    assert segmenter.seconds > 0
    extraction.close()


def test_what_gimp_cannot_do_is_said(gimp: GimpSession, photo: np.ndarray):
    extraction = ForegroundExtraction(gimp, "global")
    extraction.begin(photo)
    gimp.run("image.remove_layer(layer)")
    with pytest.raises(GimpError):
        extraction.matte(np.full(photo.shape[:2], 128, np.uint8))
    extraction.close()
