"""What a measured model is in the paper's ablations (Tables 3 to 5)."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Modules(NamedTuple):
    """Which of SAMA's modules there are."""

    mvle: bool
    adapter: bool


class Variant(NamedTuple):
    """One row of the ablations.

    Attributes:
        modules: the row of Tables 3 and 4; None is in neither.
        tasks: the row of Table 5; None is not in it.
    """

    modules: Modules | None
    tasks: Literal["segmentation", "matting", "both"] | None


#: By the name of the folder that holds a variant's measurements.
VARIANTS: dict[str, Variant] = {
    "sama": Variant(Modules(mvle=True, adapter=True), "both"),
    "mvle": Variant(Modules(mvle=True, adapter=False), None),
    "local-adapter": Variant(Modules(mvle=False, adapter=True), None),
    "baseline": Variant(Modules(mvle=False, adapter=False), None),
    "segmentation-only": Variant(None, "segmentation"),
    "matting-only": Variant(None, "matting"),
}
