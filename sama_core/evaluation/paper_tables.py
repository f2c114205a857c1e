"""The figures of Tables 1 to 5 as the paper prints them (Segment and Matte Anything in a Unified Model, AAAI-26).

They are the paper's, not ours, and none was reproduced here; `tables` prints them beside what was measured. Names of
sets are those of `datasets_run.SETS`, but for "DIS-TE (all)", which is the four test sets together, and "P3M-500", of
which the paper does not say whether it is the half with blurred faces (-P) or the other (-NP).
"""

from __future__ import annotations

from typing import NamedTuple

from sama_core.evaluation.variants import Modules

TITLE = "Segment and Matte Anything in a Unified Model (AAAI-26)"


class Saliency(NamedTuple):
    """F-beta max, weighted F, MAE, S, E (mean over thresholds)."""

    f_max: float
    f_weighted: float
    mae: float
    s: float
    e_mean: float


class Matting(NamedTuple):
    """SAD / 1000 and MSE; the latter times 1000 in Table 2 and raw in Tables 4 and 5."""

    sad: float
    mse: float


#: Columns of Table 1.
DIS_SETS = ("DIS-VD", "DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4", "DIS-TE (all)")


def _row(*figures: float) -> dict[str, Saliency]:
    return {name: Saliency(*figures[5 * i : 5 * i + 5]) for i, name in enumerate(DIS_SETS)}


#: Dichotomous image segmentation: method -> set -> figures.
TABLE_1: dict[str, dict[str, Saliency]] = {
    "IS-Net": _row(
        *(0.791, 0.717, 0.074, 0.813, 0.856),
        *(0.740, 0.662, 0.074, 0.787, 0.820),
        *(0.799, 0.728, 0.070, 0.823, 0.858),
        *(0.830, 0.758, 0.064, 0.836, 0.883),
        *(0.827, 0.753, 0.072, 0.830, 0.870),
        *(0.799, 0.725, 0.070, 0.819, 0.858),
    ),
    "UDUN": _row(
        *(0.823, 0.763, 0.059, 0.838, 0.892),
        *(0.784, 0.720, 0.059, 0.817, 0.860),
        *(0.829, 0.768, 0.058, 0.843, 0.886),
        *(0.865, 0.809, 0.050, 0.865, 0.917),
        *(0.846, 0.792, 0.059, 0.849, 0.901),
        *(0.831, 0.772, 0.057, 0.844, 0.891),
    ),
    "BiRefNet": _row(
        *(0.891, 0.854, 0.038, 0.898, 0.931),
        *(0.860, 0.819, 0.037, 0.885, 0.911),
        *(0.894, 0.857, 0.036, 0.900, 0.930),
        *(0.925, 0.893, 0.028, 0.919, 0.955),
        *(0.904, 0.864, 0.039, 0.869, 0.939),
        *(0.896, 0.858, 0.035, 0.901, 0.934),
    ),
    "SAM": _row(
        *(0.835, 0.782, 0.069, 0.808, 0.889),
        *(0.838, 0.807, 0.047, 0.843, 0.805),
        *(0.803, 0.758, 0.081, 0.792, 0.863),
        *(0.773, 0.724, 0.094, 0.761, 0.848),
        *(0.677, 0.634, 0.162, 0.697, 0.762),
        *(0.773, 0.731, 0.096, 0.773, 0.845),
    ),
    "HQ-SAM": _row(
        *(0.851, 0.829, 0.045, 0.848, 0.919),
        *(0.903, 0.888, 0.019, 0.907, 0.959),
        *(0.895, 0.874, 0.029, 0.883, 0.950),
        *(0.860, 0.853, 0.045, 0.851, 0.926),
        *(0.786, 0.748, 0.088, 0.799, 0.863),
        *(0.859, 0.835, 0.045, 0.860, 0.924),
    ),
    "Pi-SAM": _row(
        *(0.883, 0.866, 0.035, 0.889, 0.945),
        *(0.890, 0.869, 0.027, 0.894, 0.947),
        *(0.903, 0.887, 0.027, 0.907, 0.953),
        *(0.899, 0.882, 0.030, 0.901, 0.953),
        *(0.893, 0.870, 0.039, 0.893, 0.948),
        *(0.893, 0.873, 0.033, 0.893, 0.948),
    ),
    "DIS-SAM": _row(
        *(0.920, 0.877, 0.031, 0.909, 0.948),
        *(0.929, 0.897, 0.019, 0.929, 0.960),
        *(0.924, 0.889, 0.025, 0.921, 0.955),
        *(0.918, 0.877, 0.030, 0.908, 0.948),
        *(0.899, 0.849, 0.043, 0.888, 0.932),
        *(0.917, 0.872, 0.029, 0.911, 0.949),
    ),
    "SAMA": _row(
        *(0.942, 0.885, 0.021, 0.930, 0.962),
        *(0.940, 0.911, 0.012, 0.947, 0.977),
        *(0.932, 0.904, 0.019, 0.934, 0.962),
        *(0.920, 0.889, 0.032, 0.924, 0.949),
        *(0.917, 0.857, 0.041, 0.897, 0.937),
        *(0.926, 0.897, 0.026, 0.925, 0.956),
    ),
}

#: Methods of Table 2 that are given a trimap.
WITH_TRIMAP = ("Information-Flow", "DIM", "DCNN", "MGMatting", "ViTMatte")

#: Matting: method -> set -> figures. The paper does not say over which region; those with a trimap are very probably
#: of the unknown region and the others of the whole picture.
TABLE_2: dict[str, dict[str, Matting]] = {
    method: {"Composition-1K": Matting(*composition), "Distinctions-646": Matting(*distinctions)}
    for method, composition, distinctions in (
        ("Information-Flow", (70.3, 13), (78.9, 16)),
        ("DIM", (50.4, 14), (47.6, 9)),
        ("DCNN", (115.8, 23), (103.8, 20)),
        ("MGMatting", (32.1, 7.0), (36.6, 7.2)),
        ("ViTMatte", (21.5, 3.3), (21.22, 2.1)),
        ("LFM", (58.4, 11.8), (44.6, 12.8)),
        ("MODNet", (47.1, 12.3), (41.7, 9.0)),
        ("MFC-Net", (35.6, 8.7), (34.5, 7.8)),
        ("SAMA", (22.8, 2.9), (22.4, 2.2)),
    )
}

#: Ablation of the modules on DIS-VD.
TABLE_3: dict[Modules, Saliency] = {
    Modules(False, False): Saliency(0.872, 0.849, 0.038, 0.868, 0.932),
    Modules(False, True): Saliency(0.893, 0.876, 0.029, 0.912, 0.944),
    Modules(True, False): Saliency(0.882, 0.869, 0.027, 0.903, 0.942),
    Modules(True, True): Saliency(0.942, 0.885, 0.021, 0.930, 0.962),
}

#: Ablation of the modules in matting: modules -> set -> figures.
TABLE_4: dict[Modules, dict[str, Matting]] = {
    Modules(False, False): {"AM-2K": Matting(19.79, 0.028), "P3M-500": Matting(16.06, 0.0346)},
    Modules(False, True): {"AM-2K": Matting(12.74, 0.007), "P3M-500": Matting(12.15, 0.0057)},
    Modules(True, False): {"AM-2K": Matting(13.12, 0.011), "P3M-500": Matting(13.09, 0.0063)},
    Modules(True, True): {"AM-2K": Matting(8.04, 0.003), "P3M-500": Matting(9.08, 0.0028)},
}

#: One task against both: tasks trained on -> (DIS-VD, RefMatte-RW100).
TABLE_5: dict[str, tuple[Saliency, Matting]] = {
    "segmentation": (Saliency(0.917, 0.876, 0.027, 0.916, 0.946), Matting(62.70, 0.054)),
    "matting": (Saliency(0.682, 0.709, 0.071, 0.807, 0.855), Matting(34.25, 0.021)),
    "both": (Saliency(0.942, 0.885, 0.021, 0.930, 0.962), Matting(25.69, 0.0100)),
}
