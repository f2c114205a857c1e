"""Every number of a training run in one typed place; a run writes it beside its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """Recipe of the promptable `lite` SAM. Times and sizes are per process.

    Attributes:
        steps: optimiser steps; the learning rate falls to zero over exactly so many (cosine after a linear warm-up).
        images: photos in a step; each is encoded once.
        prompts: objects asked for in each photo (with replacement where a photo has fewer).
        extra_rounds: corrective rounds before the one that is learned from, drawn uniformly from this tuple for
        each step.
            The rounds run without gradient and hand their logits on as mask prompt (iterative training, Sofiiuk et
            al. 2022, RITM).
        learning_rate: of decoder, prompt encoder and neck; the unfrozen part of the ImageNet body gets `body_rate`
        times it.
        frozen: prefixes of the body's parameters that stay at their ImageNet values.
        ema: decay of the averaged weights that are shipped and evaluated.
    """

    steps: int = 2000
    images: int = 8
    prompts: int = 2
    extra_rounds: tuple[int, ...] = (0, 0, 0, 1, 1, 2, 3, 4, 6)
    learning_rate: float = 6e-4
    body_rate: float = 0.3
    weight_decay: float = 1e-4
    warmup: int = 50
    clip_norm: float = 1.0
    ema: float = 0.995
    frozen: tuple[str, ...] = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2.0")
    multimask_weight: float = 0.3
    iou_weight: float = 0.1
    checkpoint_every: int = 50
    sample_every: int = 200
    seed: int = 1
