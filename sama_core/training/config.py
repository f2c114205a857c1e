"""Every setting of a training run in one typed place; a run's folder keeps the ones it ran with, as a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from sama_core.model.sama_config import SamaConfig
from sama_core.training.config_file import Settings

Task = Literal["segmentation", "matting"]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class RunConfig(Settings):
    """What every training run has.

    Attributes:
        steps: optimiser steps; 0 for no limit but the clock.
        seconds: when not 0, the run ends after so long on the clock, if `steps` have not ended it before, and the
            learning rate takes its course by the clock; time of earlier sittings counts.
        learning_rate: at its highest. Its course is `schedule`: "cosine" falls to zero, "step" to a tenth after
            `step_at` of the run.
        warmup: steps of a linear rise.
        clip_norm: of the gradients.
        ema: decay of the averaged weights, which are what a run ends in; 0 for those of the last step.
        checkpoint_every: steps between checkpoints.
        sample_every: steps between pictures of what was asked, wanted and answered.
        workers: processes that prepare batches, for each process that trains; 0 for none.
        tensorboard: whether curves and pictures are also written for TensorBoard.
        seed: of weights, data and prompts.
    """

    steps: Number = 4000
    seconds: Amount = 0.0
    learning_rate: Amount = 1e-3
    schedule: Literal["step", "cosine"] = "cosine"
    step_at: Amount = 10 / 12
    weight_decay: Amount = 0.0
    warmup: Number = 100
    clip_norm: Positive = 1.0
    ema: float = Field(default=0.99, ge=0, lt=1)
    checkpoint_every: Count = 200
    sample_every: Count = 200
    workers: Number = 0
    tensorboard: bool = False
    seed: Number = 1

    @model_validator(mode="after")
    def _ends(self) -> RunConfig:
        if not self.steps and not self.seconds:
            raise ValueError("steps and seconds are both 0; a run must end")
        return self


class SmallSamConfig(RunConfig):
    """Recipe of the promptable `lite` SAM.

    Attributes:
        sets: those to train on, and how often their photos are shown; empty for all of them, once an epoch.
        photos: photos in a step; each is encoded once and asked about `questions` times.
        questions: of those of `small_sam.ASKED`; where they are fewer than all, each step draws its own.
        learning_rate: of decoder, prompt encoder, prompt maps, mixer and neck; the unfrozen part of the ImageNet body
            gets `body_rate` times it.
        frozen: prefixes of the body's parameters that stay at their ImageNet values.
        click_weight: how much more pixels near a click count, where the click is right about them.
        check_photos: held-out photos that the average is measured on at every checkpoint, to keep the best in
            `best.safetensors`; 0 measures at the end only.
        data_share: share of the photos that are trained on, the same ones whenever asked (learning curves).
    """

    sets: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict)
    photos: Count = 32
    questions: int = Field(default=4, ge=1, le=4)
    learning_rate: Amount = 8e-4
    body_rate: Amount = 0.3
    weight_decay: Amount = 1e-3
    ema: float = Field(default=0.997, ge=0, lt=1)
    frozen: tuple[str, ...] = ("conv_stem", "bn1", "blocks.0")
    multimask_weight: Amount = 0.3
    iou_weight: Amount = 0.1
    click_weight: Amount = 4.0
    data_share: float = Field(default=1.0, gt=0, le=1)
    check_photos: Number = 0


class RefinerConfig(RunConfig):
    """Recipe of the alpha refiner.

    A drawing is an object drawn on a photo, cut into `refiner_tiles.TILES` tiles, and some backgrounds.

    Attributes:
        batch: examples of a step.
        crop: side of an example, pixels.
        first_drawings: made before the first step.
        fresh: made anew for each step; they take the places of the oldest.
        pool: newest drawings kept on the device, 5.9 MB each.
        check: drawings of held-out photos that the network is measured on at every checkpoint; 0 does not.
    """

    batch: Count = 64
    crop: int = Field(default=256, ge=64, le=320, multiple_of=32)
    first_drawings: Count = 64
    fresh: Count = 6
    pool: Count = 3333
    check: Number = 24
    steps: Number = 2750
    learning_rate: Amount = 2e-3
    weight_decay: Amount = 1e-3
    warmup: Number = 150
    ema: float = Field(default=0.0, ge=0, lt=1)
    checkpoint_every: Count = 500
    workers: Number = 1


class OwnSet(Settings):
    """One set of a folder with split.csv.

    Attributes:
        name: as split.csv has it.
        share: how often segmentation samples come from this set, relative to the other ones.
        matting: whether matting samples are made from its photos too.
    """

    name: str
    share: Positive
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

    in_place: Amount = 0.2
    moved: Amount = 0.2
    drawn_in_place: Amount = 0.2
    drawn: Amount = 0.34
    drawn_blob: Amount = 0.06
    annotated: Amount = 0.0


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
    weight: Positive = 1.0


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
    weight: Positive = 1.0


class ModulesConfig(RunConfig):
    """Recipe of the SAMA modules on a frozen SAM. The defaults are the paper's, and HQ-SAM's where the paper is silent.

    Attributes:
        model: the frozen SAM, a name of the registry.
        modules: architecture and ablation switches.
        tasks: a step trains one task, and they take turns; one alone is an ablation (paper Table 5).
        heads_only: train the tasks' tokens and heads and leave what they share as it is: a head trained anew, alone,
            does not cost the other one anything.
        batch: samples of a step in each process.
        target_side: side of the square on which losses are computed.
        prompts: "hq_sam" draws a box, up to ten clicks or a noisy mask, uniformly; "dialogue" plays a user who corrects
            stock SAM's answers, as those of the bundled model do.
        extra_rounds: in a dialogue, corrections before the prompt that is learned from, drawn uniformly from this.
        schedule: HQ-SAM falls to a tenth after 10 of 12 epochs.
        precision: of the frozen encoder and the modules; losses are float32 always.
        encoder_chunk: views encoded in one batch; fewer need less memory.
        backgrounds: folders of photos (searched whole) over which foregrounds that have no photo are composited.
        data: public data sets.
        own: photos with masks alone.
    """

    model: str = "vit_l"
    modules: SamaConfig = SamaConfig()
    tasks: tuple[Task, ...] = Field(default=("segmentation", "matting"), min_length=1)
    heads_only: bool = False
    steps: Number = 12000
    batch: Count = 4
    target_side: Count = 1024
    prompts: Literal["hq_sam", "dialogue"] = "hq_sam"
    extra_rounds: tuple[Number, ...] = Field(default=(0,), min_length=1)
    schedule: Literal["step", "cosine"] = "step"
    warmup: Number = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    encoder_chunk: Count = 5
    workers: Number = 1
    checkpoint_every: Count = 50
    tensorboard: bool = True
    backgrounds: tuple[Path, ...] = ()
    data: tuple[DataSet, ...] = ()
    own: OwnData | None = None

    @field_validator("tasks")
    @classmethod
    def _each_once(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        if len(set(tasks)) < len(tasks):
            raise ValueError("name each task once")
        return tasks
