"""Every number of a training run of SAMA modules in one typed place; a run's folder keeps the one it ran with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sama_core.model.sama_config import SamaConfig
from sama_core.training.external import DataSet
from sama_core.training.samples import MATTING_MIX


@dataclass(frozen=True)
class OwnSet:
    """One set of a folder with split.csv.

    Attributes:
        name: as split.csv has it.
        share: how often segmentation samples come from this set, relative to the other ones.
        matting: whether matting samples are made from its photos too.
    """

    name: str
    share: float
    matting: bool = True

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise ValueError(f"share must be positive, not {self.share}: leave out an unwanted set")


@dataclass(frozen=True)
class MattingMix:
    """How often each kind of matting sample is made, in any unit; the kinds are those of `samples.MATTING_MIX`."""

    in_place: float = MATTING_MIX["in_place"]
    moved: float = MATTING_MIX["moved"]
    drawn_in_place: float = MATTING_MIX["drawn_in_place"]
    drawn: float = MATTING_MIX["drawn"]
    drawn_blob: float = MATTING_MIX["drawn_blob"]
    annotated: float = MATTING_MIX["annotated"]


@dataclass(frozen=True)
class OwnData:
    """Photos with masks listed in split.csv: segmentation samples, and matting samples made from the same photos.

    Attributes:
        folder: with split.csv and SET/images, SET/masks.
        pseudo_alphas: folder that `sama_core.training.pseudo_alpha` filled; None for drawn alphas only.
        sets: which sets to use; empty for all of them, each photo as often as any other.
        mix: of the matting samples.
        weight: how often one of these photos is drawn, relative to a pair of a public set.
    """

    folder: Path
    pseudo_alphas: Path | None = None
    sets: tuple[OwnSet, ...] = ()
    mix: MattingMix = field(default_factory=MattingMix)
    weight: float = 1.0


@dataclass(frozen=True)
class SamaTrainConfig:
    """Recipe of the SAMA modules. The defaults are the paper's, and HQ-SAM's where the paper is silent.

    Attributes:
        model: the frozen SAM, a name of the registry.
        modules: architecture and ablation switches.
        tasks: a step trains one task, and they take turns; one alone is an ablation (paper Table 5).
        heads_only: train the tasks' tokens and heads and leave what they share as it is: a head trained anew, alone,
            does not cost the other one anything.
        steps: optimiser steps over all tasks.
        seconds: when not 0, the run ends after so long on the clock, if `steps` have not ended it before, and the
            learning rate takes its course by the clock; time of earlier sittings counts.
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
        workers: processes that prepare samples, for each process that trains.
        backgrounds: folders of photos (searched whole) over which foregrounds that have no photo are composited.
        data: public data sets.
        own: photos with masks alone.
    """

    model: str = "vit_l"
    modules: SamaConfig = field(default_factory=SamaConfig)
    tasks: tuple[Literal["segmentation", "matting"], ...] = ("segmentation", "matting")
    heads_only: bool = False
    steps: int = 12000
    seconds: float = 0.0
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
    backgrounds: tuple[Path, ...] = ()
    data: tuple[DataSet, ...] = ()
    own: OwnData | None = None

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks must name segmentation, matting or both, each once")
        if min(self.steps, self.batch, self.checkpoint_every, self.sample_every, self.encoder_chunk) < 1:
            raise ValueError("steps, batch, checkpoint_every, sample_every and encoder_chunk must be at least 1")
        if not self.extra_rounds:
            raise ValueError("extra_rounds must hold a number; [0] learns from first prompts alone")
