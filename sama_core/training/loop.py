"""The training loop of the promptable `lite` SAM: one process, CPU or one GPU, resumable."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import NamedTuple, TextIO

import cv2
import numpy as np
import torch
from torch import nn

from sama_core.data import simulated_user
from sama_core.data.photo_store import PhotoFiles, PhotoStore
from sama_core.data.sets import VOID
from sama_core.images import LOW_RES
from sama_core.model.backbones.lite import LiteBackbone
from sama_core.model.labels import PAD
from sama_core.model.mask_decoder import Decoded
from sama_core.model.sam import PromptableSam
from sama_core.training.config import TrainConfig
from sama_core.training.config_file import save_config
from sama_core.training.imagenet import imagenet_weights
from sama_core.training.losses import click_emphasis, iou_of, structure_loss
from sama_core.training.views_of_photos import Augmentation, Draw, Views, draw_views
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


class Trainer:
    """One run in one folder: `config.toml`, `log.jsonl`, `last.pt`, `samples/`, and `ema.safetensors`.

    Args:
        store: the photos.
        config: the recipe.
        folder: of the run; a run found there is resumed.
        device: where photos and network go.
        start: a weight file of `lite` to start from instead of ImageNet's body.
    """

    def __init__(
        self,
        store: PhotoStore | PhotoFiles,
        config: TrainConfig,
        folder: Path,
        device: str = "cpu",
        start: Path | None = None,
    ) -> None:
        self.config, self.folder, self.device = config, folder, torch.device(device)
        folder.mkdir(parents=True, exist_ok=True)
        if self.device.type == "cuda":
            # every step has the same shapes
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        torch.manual_seed(config.seed)
        self.model = build("lite")
        assert isinstance(self.model.backbone, LiteBackbone)
        self.body = body = self.model.backbone.body
        if start is not None:
            from sama_core.weights.files import load_weights

            load_weights(self.model, start)
        else:
            known = body.state_dict()
            body.load_state_dict({name: tensor for name, tensor in imagenet_weights().items() if name in known})
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(not name.startswith(config.frozen))
        self.ema = {k: v.detach().clone().float() for k, v in self.model.state_dict().items()}
        # in the network's own order: a resumed optimiser finds its moments by position
        in_body = [p for p in body.parameters() if p.requires_grad]
        elsewhere = [p for name, p in self.model.named_parameters() if not name.startswith("backbone.body.")]
        groups = [
            {"params": in_body, "lr": config.learning_rate * config.body_rate},
            {"params": elsewhere, "lr": config.learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.base_rates = [group["lr"] for group in groups]
        self.step, self.elapsed, self.best = 0, 0.0, -1.0
        self.store = store.to(self.device)
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(store)))
        self.photos = order[: max(1, round(config.data_share * len(store)))]
        save_config(config, folder / "config.toml")
        if (folder / "last.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step, self.elapsed = state["ema"], state["step"], state["elapsed"]
        self.best = state["best"]

    def save(self) -> None:
        """Write `last.pt` whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "elapsed": self.elapsed,
            "best": self.best,
        }
        temporary = self.folder / "last.pt.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "last.pt")

    def run(self, held_out: PhotoStore | None = None) -> None:
        """Train to the end; an interrupt loses at most `config.checkpoint_every` steps.

        Args:
            held_out: photos to measure the average on at the start and at every checkpoint, with one to three clicks;
                the best average so far is kept in `best.safetensors`.
        """
        config = self.config
        began = time.monotonic() - self.elapsed
        with (self.folder / "log.jsonl").open("a") as log:
            if held_out is not None and not self.step:
                self._keep_best(held_out, log)
            while self._progress() < 1:
                row = self._train_step(self._draw_photos())
                self.elapsed = time.monotonic() - began
                row.update(step=self.step, seconds=round(self.elapsed, 1))
                log.write(json.dumps(row) + "\n")
                log.flush()
                if self.step % config.checkpoint_every == 0:
                    if held_out is not None:
                        self._keep_best(held_out, log)
                    self.save()
        self.save()
        self.export(self.folder / "ema.safetensors")

    def export(self, path: Path) -> None:
        """Write the averaged weights."""
        from sama_core.weights.files import save_weights

        save_weights(self.ema, path, {"model": "lite", "steps": str(self.step)})

    def _keep_best(self, held_out: PhotoStore, log: TextIO) -> None:
        curve = self.measure(held_out, 3).mean(0)
        log.write(json.dumps({"step": self.step, "held_out": [round(float(iou), 4) for iou in curve]}) + "\n")
        log.flush()
        if float(curve.mean()) > self.best:
            self.best = float(curve.mean())
            self.export(self.folder / "best.safetensors")

    def measure(self, held_out: PhotoStore, clicks: int = CURVE[-1]) -> torch.Tensor:
        """IoU of the averaged network on other photos: N×clicks, after each of the robot's clicks."""
        network = build("lite")
        network.load_state_dict(self.ema)
        network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return robot_curve(network, held_out.to(self.device), clicks, 4 if self.device.type == "cpu" else 64)

    def _progress(self) -> float:
        """Share of the run that is done, by the clock or by steps."""
        config = self.config
        return self.elapsed / config.seconds if config.seconds else self.step / config.steps

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.config.warmup)
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress())))

    def _draw_photos(self) -> torch.Tensor:
        """The photos of the step in hand: epoch after epoch, each shuffled; a resumed run sees what it would have."""
        count, first = len(self.photos), self.step * self.config.photos
        places = []
        for index in range(first, first + self.config.photos):
            epoch, offset = divmod(index, count)
            places.append(_shuffled(self.config.seed, epoch, count)[offset])
        return self.photos[torch.tensor(places)]

    def _set_mode(self) -> None:
        self.model.train()
        # the statistics stay ImageNet's: those of small batches of crops and collages are not those of photos
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def _train_step(self, photos: torch.Tensor) -> dict[str, float]:
        config = self.config
        self._set_mode()
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * self._rate()
        generator = torch.Generator(self.device).manual_seed(1_000_003 * config.seed + self.step)
        with torch.no_grad():
            taken = self.store.take(photos)
            everything = torch.arange(len(taken), device=self.device)
            views = draw_views(taken, everything, len(ASKED), Augmentation(), generator)
        x = self.model.standardise(views.pixels) * views.inside
        choices = np.random.default_rng((config.seed, 2, self.step))
        with _precision(self.device):
            embedding = self.model.encode(x.contiguous(memory_format=torch.channels_last)).embedding
        row: dict[str, float] = {}
        self.optimizer.zero_grad(set_to_none=True)
        # question by question, so that the memory is one question's; the encoder's gradient is gathered and runs once
        gathered = embedding.detach().requires_grad_()
        pictures = []
        asked = sorted(choices.permutation(len(ASKED))[: config.questions].tolist())
        for number in asked:
            loss, shown = self._ask(ASKED[number], gathered, views, number, choices, Draw(generator), row)
            loss.backward()
            pictures.append(shown)
        embedding.backward(gathered.grad)
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], config.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._average()
        if self.step % config.sample_every == 0:
            write_picture(self.folder / "samples" / f"{self.step:06d}.jpg", views, asked, pictures)
        return row

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
        with _precision(self.device):
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

    def _average(self) -> None:
        # a young average would remember the random start
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = {name: tensor for name, tensor in self.model.state_dict().items() if tensor.is_floating_point()}
        torch._foreach_lerp_(  # type: ignore[attr-defined]
            [self.ema[name] for name in state], [tensor.detach().float() for tensor in state.values()], 1 - decay
        )


def _precision(device: torch.device) -> torch.autocast:
    """Half precision on a GPU. Most CPUs only imitate it, several times slower than float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


@torch.no_grad()
def robot_curve(model: PromptableSam, store: PhotoStore, clicks: int, batch: int) -> torch.Tensor:
    """IoU of each photo's largest object after 1 to `clicks` of the robot's clicks, on the decoder's grid: N×clicks.

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
        with _precision(device):
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


def write_picture(
    path: Path, views: Views, asked: list[int], answers: list[tuple[simulated_user.Prompts, torch.Tensor]]
) -> None:
    """Draw the first photos of a step, a row for each question: target green, answer yellow, clicks blue and red."""
    rows = []
    for number, (prompts, logits) in zip(asked, answers, strict=True):
        tiles = []
        for i in range(min(8, len(logits))):
            picture = views.pixels[i].permute(1, 2, 0).flip(-1).to(torch.uint8).cpu().numpy().copy()
            size = picture.shape[0]
            for mask, colour in ((views.targets[i, number] - 0.5, (0, 255, 0)), (logits[i], (0, 255, 255))):
                drawn = cv2.resize(mask.float().cpu().numpy(), (size, size)) > 0
                contours, _ = cv2.findContours(drawn.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(picture, contours, -1, colour, 2)
            for (px, py), label in zip(prompts.points[i].tolist(), prompts.labels[i].tolist(), strict=True):
                if label >= 0:
                    cv2.circle(picture, (round(px), round(py)), 6, (255, 80, 0) if label else (0, 0, 255), -1)
            tiles.append(cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA))
        rows.append(np.hstack(tiles))
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows))
