"""Every number of a training run of the small SAM in one typed place; a run writes it beside its checkpoints."""

from __future__ import annotations

from pydantic import Field

from sama_core.training.config_file import Settings


class TrainConfig(Settings):
    """Recipe of the promptable `lite` SAM.

    Attributes:
        steps: optimiser steps; the learning rate falls to zero over exactly so many (cosine after a linear warm-up).
        seconds: when not 0, the run is this long on the clock instead, whatever number of steps that makes; time that
            an earlier, interrupted sitting took counts.
        photos: photos in a step; each is encoded once and asked about `questions` times.
        questions: of those of `loop.ASKED`; where they are fewer than all, each step draws its own.
        learning_rate: of decoder, prompt encoder, prompt maps, mixer and neck; the unfrozen part of the ImageNet body
            gets `body_rate` times it.
        frozen: prefixes of the body's parameters that stay at their ImageNet values.
        ema: decay of the averaged weights that are shipped and evaluated.
        click_weight: how much more pixels near a click count, where the click is right about them.
        check_photos: held-out photos that the average is measured on at every checkpoint, to keep the best in
            `best.safetensors`; 0 measures at the end only.
        data_share: share of the photos that are trained on, the same ones whenever asked (learning curves).
    """

    steps: int = Field(4000, ge=1)
    seconds: float = 0.0
    photos: int = Field(32, ge=1)
    questions: int = Field(4, ge=1, le=4)
    learning_rate: float = 8e-4
    body_rate: float = 0.3
    weight_decay: float = 1e-3
    warmup: int = Field(100, ge=1)
    clip_norm: float = 1.0
    ema: float = 0.997
    frozen: tuple[str, ...] = ("conv_stem", "bn1", "blocks.0")
    multimask_weight: float = 0.3
    iou_weight: float = 0.1
    click_weight: float = 4.0
    data_share: float = Field(1.0, gt=0, le=1)
    checkpoint_every: int = Field(200, ge=1)
    check_photos: int = Field(0, ge=0)
    sample_every: int = Field(200, ge=1)
    seed: int = Field(1, ge=0)
