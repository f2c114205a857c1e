"""Every number of a training run of SAMA modules in one typed place; a run's folder keeps the one it ran with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from sama_core.model.sama_config import SamaConfig
from sama_core.training.config_file import Settings

Task = Literal["segmentation", "matting"]
Count = Annotated[int, Field(ge=1)]


class OwnSet(Settings):
    """One set of a folder with split.csv.

    Attributes:
        name: as split.csv has it.
        share: how often segmentation samples come from this set, relative to the other ones.
        matting: whether matting samples are made from its photos too.
    """

    name: str
    share: float = Field(gt=0)
    matting: bool = True


class MattingMix(Settings):
    """How often each kind of matting sample is made, in any unit.

    Without pseudo-alphas the kinds that need them (the first three) leave their share to the others.

    Attributes:
        in_place: a photo and its pseudo-alpha.
        moved: an object with its pseudo-alpha over another photo.
        drawn_in_place: hair, yarn or leaves drawn onto an object in its own photo.
        drawn: a drawn alpha on an object's outline, over another photo.
        drawn_blob: a drawn alpha on a random outline filled from a photo, over another photo.
        annotated: a photo and its mask as annotated, which the trainer carries to the photo's edges.
    """

    in_place: float = Field(0.2, ge=0)
    moved: float = Field(0.2, ge=0)
    drawn_in_place: float = Field(0.2, ge=0)
    drawn: float = Field(0.34, ge=0)
    drawn_blob: float = Field(0.06, ge=0)
    annotated: float = Field(0.0, ge=0)


class DataSet(Settings):
    """A set to train on.

    Attributes:
        root: the folder it was unpacked to.
        layout: a name of `sama_core.data.layouts`, or "auto" to look which one fits.
        split: one of the layout's splits.
        weight: how often a pair of this set is drawn, relative to a pair of another one.
    """

    root: Path
    layout: str = "auto"
    split: str = "train"
    weight: float = Field(1.0, gt=0)


class OwnData(Settings):
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
    mix: MattingMix = MattingMix()
    weight: float = Field(1.0, gt=0)


class SamaTrainConfig(Settings):
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
    modules: SamaConfig = SamaConfig()
    tasks: tuple[Task, ...] = Field(("segmentation", "matting"), min_length=1)
    heads_only: bool = False
    steps: Count = 12000
    seconds: float = 0.0
    batch: Count = 4
    target_side: Count = 1024
    prompts: Literal["hq_sam", "dialogue"] = "hq_sam"
    extra_rounds: tuple[int, ...] = Field((0,), min_length=1)
    learning_rate: float = 1e-3
    schedule: Literal["step", "cosine"] = "step"
    step_at: float = 10 / 12
    weight_decay: float = 0.0
    warmup: int = Field(0, ge=0)
    clip_norm: float = 1.0
    ema: float = 0.99
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    encoder_chunk: Count = 5
    workers: int = Field(1, ge=0)
    checkpoint_every: Count = 50
    sample_every: Count = 200
    seed: int = Field(1, ge=0)
    backgrounds: tuple[Path, ...] = ()
    data: tuple[DataSet, ...] = ()
    own: OwnData | None = None

    @field_validator("tasks")
    @classmethod
    def _each_once(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        if len(set(tasks)) < len(tasks):
            raise ValueError("name each task once")
        return tasks
