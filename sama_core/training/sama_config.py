"""Every number of a training run of SAMA modules in one typed place; a run's folder keeps the one it ran with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sama_core.model.sama_config import SamaConfig


@dataclass(frozen=True)
class SamaTrainConfig:
    """Recipe of the SAMA modules. The defaults are the paper's, and HQ-SAM's where the paper is silent.

    Attributes:
        model: the frozen SAM, a name of the registry.
        modules: architecture and ablation switches.
        tasks: a step trains one task, and they take turns; one alone is an ablation (paper Table 5).
        steps: optimiser steps over all tasks.
        batch: samples of a step in each process.
        target_side: side of the square on which losses are computed.
        prompts: "hq_sam" draws a box, up to ten clicks or a noisy mask, uniformly; "dialogue" plays a user who corrects
            stock SAM's answers, as those of the bundled model do.
        extra_rounds: in a dialogue, corrections before the prompt that is learned from, drawn uniformly from this.
        learning_rate: its course is `schedule`: "step" falls to a tenth after `step_at` of all steps (HQ-SAM: 10 of
            12 epochs), "cosine" falls to zero.
        warmup: steps of a linear rise.
        ema: decay of the averaged weights, which are what a run ends in.
        precision: of the frozen encoder and the modules; losses are float32 always.
        encoder_chunk: views encoded in one batch; fewer need less memory.
        workers: processes that prepare samples.
    """

    model: str = "vit_l"
    modules: SamaConfig = field(default_factory=SamaConfig)
    tasks: tuple[Literal["segmentation", "matting"], ...] = ("segmentation", "matting")
    steps: int = 12000
    batch: int = 4
    target_side: int = 1024
    prompts: Literal["hq_sam", "dialogue"] = "hq_sam"
    extra_rounds: tuple[int, ...] = (0,)
    learning_rate: float = 1e-3
    schedule: Literal["step", "cosine"] = "step"
    step_at: float = 10 / 12
    weight_decay: float = 0.0
    warmup: int = 0
    clip_norm: float = 1.0
    ema: float = 0.99
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    encoder_chunk: int = 5
    workers: int = 1
    checkpoint_every: int = 50
    sample_every: int = 200
    seed: int = 1
