"""The ways to matte, by the names that users write; cheap to import.

refiner      the learned refiner and closed-form matting after it, in the band around the selection's edge
             (`inference.refining`)
closed-form  closed-form matting alone in that band (`inference.matting`)
head         as refiner, around the edge that SAMA's matting head finds
"""

from __future__ import annotations

from typing import Literal, get_args

MatteMethod = Literal["refiner", "closed-form", "head"]
METHODS: tuple[MatteMethod, ...] = get_args(MatteMethod)
DEFAULT: MatteMethod = "refiner"
