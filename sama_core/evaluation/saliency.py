"""The measures of dichotomous image segmentation, through PySODMetrics, with the conventions of DIS-5K's tables.

A prediction is min-max normalised on each picture before it is measured (a constant one is only divided by 255), so
that an answer is judged by its ranking of pixels, not by its scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from py_sod_metrics import MAE, Emeasure, FmeasureV2, Smeasure, WeightedFmeasure
from py_sod_metrics.fmeasurev2 import FmeasureHandler

from sama_core.errors import InvalidImage

_BETA_SQUARED = 0.3


@dataclass(frozen=True)
class PictureSaliency:
    """Measures of one picture, before averaging.

    Attributes:
        f_curve: F-measure, 1.3·P·R/(0.3·P + R), at the 256 grey levels as thresholds, from 255 down to 0.
        f_weighted: weighted F-measure, β = 1 (Margolin et al. 2014); 0 where the truth is empty.
        mae: mean |p − y|.
        s: structure measure, α = 0.5 (Fan et al. 2017).
        e_mean: enhanced-alignment measure (Fan et al. 2018), mean over the 256 thresholds.
        e_adaptive: the same at the threshold 2·mean(p), at most 1.
    """

    f_curve: tuple[float, ...]
    f_weighted: float
    mae: float
    s: float
    e_mean: float
    e_adaptive: float


@dataclass(frozen=True)
class Saliency:
    """Measures of a set of pictures: F-beta max, weighted F, MAE, S, E (mean over thresholds) and E adaptive."""

    f_max: float
    f_weighted: float
    mae: float
    s: float
    e_mean: float
    e_adaptive: float


def measure(prediction: np.ndarray, truth: np.ndarray) -> PictureSaliency:
    """Measure one picture.

    Args:
        prediction: H×W uint8, of the truth's size.
        truth: H×W bool.

    Raises:
        InvalidImage: sizes or types are not as above.
    """
    if prediction.shape != truth.shape or prediction.dtype != np.uint8 or truth.dtype != bool:
        raise InvalidImage(
            f"An answer of {prediction.shape} {prediction.dtype} cannot be measured against a truth of {truth.shape} "
            f"{truth.dtype}. Give 8-bit grey and true/false of the same size."
        )
    f, f_weighted, mae, s, e = _measures()
    for one in (f, f_weighted, mae, s, e):
        one.step(prediction, truth.astype(np.uint8) * 255)
    alignment = e.get_results()["em"]
    return PictureSaliency(
        f_curve=tuple(f.get_results()["f"]["dynamic"].tolist()),
        f_weighted=float(f_weighted.get_results()["wfm"]),
        mae=float(mae.get_results()["mae"]),
        s=float(s.get_results()["sm"]),
        e_mean=float(alignment["curve"].mean()),
        e_adaptive=float(alignment["adp"]),
    )


def summarise(pictures: Sequence[PictureSaliency]) -> Saliency:
    """Average over pictures; F-beta max is the maximum of the averaged F curve, not the average of maxima.

    Raises:
        ValueError: no picture.
    """
    if not pictures:
        raise ValueError("no picture to average over")
    return Saliency(
        f_max=float(np.mean([picture.f_curve for picture in pictures], axis=0).max()),
        f_weighted=float(np.mean([picture.f_weighted for picture in pictures])),
        mae=float(np.mean([picture.mae for picture in pictures])),
        s=float(np.mean([picture.s for picture in pictures])),
        e_mean=float(np.mean([picture.e_mean for picture in pictures])),
        e_adaptive=float(np.mean([picture.e_adaptive for picture in pictures])),
    )


def _measures() -> tuple[FmeasureV2, WeightedFmeasure, MAE, Smeasure, Emeasure]:
    f = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=False, beta=_BETA_SQUARED)})
    return f, WeightedFmeasure(beta=1), MAE(), Smeasure(alpha=0.5), Emeasure()
