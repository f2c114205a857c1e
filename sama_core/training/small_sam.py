"""The promptable `lite` SAM as a task of the trainer: questions about photos with masks, on a CPU or one GPU."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sama_core.data import simulated_user
from sama_core.data.photo_store import PhotoFiles, PhotoStore
from sama_core.data.sets import VOID
from sama_core.data.simulated_user import Draw
from sama_core.images import LOW_RES
from sama_core.model.backbones.lite import LiteBackbone
from sama_core.model.mask_decoder import Decoded
from sama_core.model.sam import PromptableSam
from sama_core.prompts import PAD
from sama_core.training.config import SmallSamConfig
from sama_core.training.imagenet import imagenet_weights
from sama_core.training.losses import click_emphasis, iou_of, structure_loss
from sama_core.training.sheets import small_sam_sheet
from sama_core.training.trainer import Outcome, Score, Task, allow_fast_kernels, half_precision, load_batches
from sama_core.training.views_of_photos import Augmentation, Views, draw_views
from sama_core.weights.files import load_weights, save_weights
from sama_core.weights.registry import build


class Question(NamedTuple):
    """How a step asks about one of a photo's targets.

    Attributes:
        kinds: of the first prompt, one of these for the whole batch: all its users then have as many tokens, as they
            have in the engine.
        rounds: corrections before the answer that is learned from, uniformly from this range. They run without
            gradient and hand their logits on as mask prompts (iterative training, RITM).
    """

    kinds: tuple[simulated_user.Kind, ...]
    rounds: tuple[int, int]


#: A quarter of what is learned each: the first click, other first prompts, short dialogues, long ones. The last
#: target may be two objects, which one click cannot mean.
ASKED = (
    Question(("click",), (0, 0)),
    Question(("click", "clicks", "neighbour", "neighbour", "box", "box", "box", "region", "region"), (0, 0)),
    Question(("click", "click", "clicks", "neighbour", "neighbour", "box", "region"), (1, 3)),
    Question(("click",), (2, 8)),
)


#: Numbers of clicks after which a run's network is measured.
CURVE = (1, 3, 5, 10)


class SmallSam(Task):
    """The `lite` SAM, its photos and its losses.

    Args:
        photos: to train on; a store belongs on the device.
        config: the recipe.
        device: where to train.
        start: a weight file of `lite` to start from instead of ImageNet's body.
        held_out: photos to measure the average on at the start and at every checkpoint, with one to three clicks.
    """

    def __init__(
        self,
        photos: PhotoStore | PhotoFiles,
        config: SmallSamConfig,
        device: torch.device,
        start: Path | None = None,
        held_out: PhotoStore | None = None,
    ) -> None:
        self.config, self.device, self.held_out = config, device, held_out
        allow_fast_kernels(device)
        torch.manual_seed(config.seed)
        self.model: PromptableSam = build("lite")
        assert isinstance(self.model.backbone, LiteBackbone)
        self.body = body = self.model.backbone.body
        if start is not None:
            load_weights(self.model, start)
        else:
            known = body.state_dict()
            body.load_state_dict({name: tensor for name, tensor in imagenet_weights().items() if name in known})
        self.model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(not name.startswith(config.frozen))
        self._photos = photos
        order = np.random.default_rng(0).permutation(len(photos))
        self.chosen = order[: max(1, round(config.data_share * len(photos)))].tolist()

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """The body's, and all others'."""
        # in the network's own order: a resumed optimiser finds its moments by position
        in_body = [p for p in self.body.parameters() if p.requires_grad]
        elsewhere = [p for name, p in self.model.named_parameters() if not name.startswith("backbone.body.")]
        return [
            {"params": in_body, "lr": learning_rate * self.config.body_rate},
            {"params": elsewhere, "lr": learning_rate},
        ]

    def batches(self, first: int) -> Iterable[PhotoStore]:
        """Photos of each step: epoch after epoch, each shuffled."""
        # what lies on the device needs no reading
        workers = self.config.workers if isinstance(self._photos, PhotoFiles) else 0
        return load_batches(self._photos, self._numbers(first), workers)

    def _numbers(self, first: int) -> Iterator[list[int]]:
        count, photos = len(self.chosen), self.config.photos
        for step in itertools.count(first):
            places = (divmod(index, count) for index in range(step * photos, (step + 1) * photos))
            yield [self.chosen[_shuffled(self.config.seed, epoch, count)[offset]] for epoch, offset in places]

    def export(self, averaged: dict[str, torch.Tensor], path: Path, step: int) -> None:
        """Write a weight file of `lite`."""
        save_weights(averaged, path, {"model": "lite", "steps": str(step)})

    def measure(self, averaged: dict[str, torch.Tensor]) -> Score | None:
        """Mean IoU after one to three clicks."""
        if self.held_out is None:
            return None
        curve = self.curve(averaged, self.held_out, 3).mean(0)
        return Score(float(curve.mean()), {"held_out": [round(float(iou), 4) for iou in curve]})

    def curve(self, averaged: dict[str, torch.Tensor], photos: PhotoStore, clicks: int = CURVE[-1]) -> torch.Tensor:
        """IoU of the averaged network on other photos: N×clicks, after each of the simulated user's clicks."""
        network = build("lite")
        network.load_state_dict(averaged)
        network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return click_curve(network, photos.to(self.device), clicks, 4 if self.device.type == "cpu" else 64)

    def _set_mode(self) -> None:
        self.model.train()
        # the statistics stay ImageNet's: those of small batches of crops and collages are not those of photos
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def gradients(self, batch: PhotoStore, step: int) -> Outcome:
        """Ask about views of photos, question by question."""
        config = self.config
        self._set_mode()
        generator = torch.Generator(self.device).manual_seed(1_000_003 * config.seed + step)
        with torch.no_grad():
            taken = batch.to(self.device)
            everything = torch.arange(len(taken), device=self.device)
            views = draw_views(taken, everything, len(ASKED), Augmentation(), generator)
        x = self.model.standardise(views.pixels) * views.inside
        choices = np.random.default_rng((config.seed, 2, step))
        with half_precision(self.device):
            embedding = self.model.encode(x.contiguous(memory_format=torch.channels_last)).embedding
        row: dict[str, float] = {}
        # question by question, so that the memory is one question's; the encoder's gradient is gathered and runs once
        gathered = embedding.detach().requires_grad_()
        pictures = []
        asked = sorted(choices.permutation(len(ASKED))[: config.questions].tolist())
        for number in asked:
            loss, shown = self._ask(ASKED[number], gathered, views, number, choices, Draw(generator), row)
            loss.backward()
            pictures.append(shown)
        embedding.backward(gathered.grad)
        return Outcome(row, lambda: small_sam_sheet(views, asked, pictures))

    def _ask(
        self,
        question: Question,
        embedding: torch.Tensor,
        views: Views,
        number: int,
        choices: np.random.Generator,
        draw: Draw,
        row: dict[str, float],
    ) -> tuple[torch.Tensor, tuple[simulated_user.Prompts, torch.Tensor]]:
        """One question about target `number` of every photo; the loss, and prompts and answers to look at."""
        config, size = self.config, self.model.input_size
        targets, valid = views.targets[:, number], views.valid[:, number]
        usable = views.usable[:, number].float()
        truth, known, others = targets > 0.5, valid > 0, views.others[:, number]
        kind = question.kinds[choices.integers(len(question.kinds))]
        rounds = int(choices.integers(question.rounds[0], question.rounds[1] + 1))
        with half_precision(self.device):
            with torch.no_grad():
                prompts = simulated_user.first_prompts(
                    kind, truth, known, size, draw, int(choices.integers(2, 7)), others
                )
                for _ in range(rounds):
                    answer = self._decode(embedding, prompts).logits[:, 0].float()
                    simulated_user.correct(prompts, answer, truth, known, size, draw)
            decoded = self._decode(embedding, prompts)
        logits = decoded.logits.float()
        emphasis = click_emphasis(prompts.points, prompts.labels, targets, size, config.click_weight)
        share = usable / usable.sum().clamp(min=1)
        loss = mask = (structure_loss(logits[:, 0], targets, valid, emphasis) * share).sum()
        if kind == "click" and rounds == 0:
            # alternatives are trained as in SAM: only the best of the three learns from an ambiguous first prompt
            repeated = [t.repeat_interleave(3, dim=0) for t in (targets, valid)]
            three = structure_loss(logits[:, 1:].flatten(0, 1), *repeated).view(-1, 3)
            loss = loss + config.multimask_weight * (three.min(dim=1).values * share).sum()
        with torch.no_grad():
            actual = iou_of(logits, targets.unsqueeze(1), valid.unsqueeze(1))
        loss = loss + config.iou_weight * ((decoded.iou.float() - actual).square().mean(1) * share).sum()
        row[f"mask_{number}"] = round(mask.item(), 4)
        row[f"miou_{number}"] = round(float((actual[:, 0] * share).sum()), 4)
        return loss / config.questions, (prompts, logits[:, 0].detach())

    def _decode(self, embedding: torch.Tensor, prompts: simulated_user.Prompts) -> Decoded:
        return self.model.decode(embedding, *self.model.embed_prompts(*prompts.arguments()))


@functools.lru_cache(maxsize=2)
def _shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


@torch.no_grad()
def click_curve(model: PromptableSam, store: PhotoStore, clicks: int, batch: int) -> torch.Tensor:
    """IoU of each photo's largest object after 1 to `clicks` simulated clicks, on the decoder's grid: N×clicks.

    A quick look at a network while it is trained, in batches; `evaluation.clicks` measures the product.
    """
    device = store.pixels.device
    model.eval()
    curves = []
    for first in range(0, len(store), batch):
        photos = torch.arange(first, min(first + batch, len(store)), device=device)
        size = store.size
        centres = torch.arange(size, device=device)
        rows, columns = (centres < store.sizes[photos, axis].view(-1, 1) for axis in (0, 1))
        inside = (rows.unsqueeze(2) & columns.unsqueeze(1)).float().unsqueeze(1)
        x = model.standardise(store.pixels[photos].float()) * inside
        fold = size // LOW_RES
        targets = nn.functional.avg_pool2d((store.labels[photos] == 1).float(), fold)
        valid = (nn.functional.avg_pool2d((store.labels[photos] != VOID).float(), fold) > 0.99).float()
        with half_precision(device):
            embedding = model.encode(x.contiguous(memory_format=torch.channels_last)).embedding
            none = torch.full_like(targets, -1.0)
            prompts = simulated_user.Prompts(
                torch.zeros(len(photos), 1, 2, device=device),
                torch.full((len(photos), 1), PAD, device=device),
                none.unsqueeze(1),
                torch.zeros(len(photos), dtype=torch.bool, device=device),
            )
            answer, curve = none, []
            for number in range(clicks):
                simulated_user.correct(prompts, answer, targets > 0.5, valid > 0, size, None)
                if number == 0:
                    prompts.has_mask = torch.zeros_like(prompts.has_mask)
                decoded = model.decode(embedding, *model.embed_prompts(*prompts.arguments()))
                answer = decoded.logits[:, 0].float()
                curve.append(iou_of(answer, targets, valid))
        curves.append(torch.stack(curve, 1))
    return torch.cat(curves).cpu()
