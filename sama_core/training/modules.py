"""SAMA's modules on a frozen SAM as a task of the trainer, and the way from a run to an adapter file and back."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from sama_core.errors import ConfigError
from sama_core.images import LOW_RES
from sama_core.model.sam import PromptableSam
from sama_core.model.sama import Sama, SamaModules, Task, follow_edges
from sama_core.model.views import enlarge_input
from sama_core.training import distributed
from sama_core.training.config import ModulesConfig
from sama_core.training.config_file import load_config
from sama_core.training.prompts import SimulatedPrompt, correct, first_prompt, hq_sam_prompt, to_arrays
from sama_core.training.sama_losses import matting_loss, segmentation_loss
from sama_core.training.samples import Source, ViewSample
from sama_core.training.sheets import modules_sheet
from sama_core.training.trainer import Outcome, load_batches
from sama_core.training.trainer import Task as TrainerTask
from sama_core.weights.adapter import load_adapter, save_adapter

#: Radius of the guided filter over annotated masks, in pixels of a 512×512 target: hand-drawn edges are off by some 3.
_ANNOTATION_REACH = 6


@dataclass(frozen=True)
class Provenance:
    """What an adapter file is to say of the run, beyond its recipe; plain values, kept in `last.pt`.

    Attributes:
        backbone_sha256: of the weight file of the frozen SAM.
        data: for each set and task, the set, its split, the task and the number of targets.
        start: name of the adapter that the modules started from; empty for a random start.
    """

    backbone_sha256: str = ""
    data: list[dict[str, str | int]] = field(default_factory=list)
    start: str = ""


class Turns(Dataset):
    """Samples by number: step by step, process by process; the i-th depends on (seed, i) alone, so that a resumed run
    sees what it would have seen."""

    def __init__(self, sources: dict[Task, Source], config: ModulesConfig, processes: int) -> None:
        self.sources, self.config, self.processes = sources, config, processes

    def __getitem__(self, index: int) -> ViewSample:
        config = self.config
        step = index // (config.batch * self.processes)
        task = config.tasks[step % len(config.tasks)]
        # a task's samples do not depend on whether the other task is trained too: ablations compare on the same data
        turn = step // len(config.tasks) * config.batch * self.processes + index % (config.batch * self.processes)
        rng = np.random.default_rng((config.seed, 3, len(task), turn))
        while True:
            sample = self.sources[task].sample(rng)
            if (_low(sample.target) & _low(sample.valid.astype(np.uint8) * 255)).any():
                return sample


def _low(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(mask, (LOW_RES, LOW_RES), interpolation=cv2.INTER_AREA) > 127


class Modules(TrainerTask):
    """The modules, their samples and their losses; `model` is the modules alone.

    BatchNorm normalises by the process's own samples; its running statistics are averaged over processes.

    Args:
        sam: the stock model with its weights.
        sources: of samples, for each task of the configuration.
        config: the recipe.
        device: where to train.
        start: state of SAMA modules to start from; a resumed run does not look at it.
        provenance: of the run.
    """

    def __init__(
        self,
        sam: PromptableSam,
        sources: dict[Task, Source],
        config: ModulesConfig,
        device: torch.device,
        start: dict[str, torch.Tensor] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.config, self.device, self.sources = config, device, sources
        self.provenance = provenance or Provenance()
        self.rank, self.processes = distributed.rank_and_count()
        torch.manual_seed(config.seed)
        self.sama = Sama(sam, SamaModules(config.modules, sam.backbone.early_channels))
        if start is not None:
            self.sama.sama.load_state_dict(start)
        self.sama.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: SamaModules = self.sama.sama
        self.turns = len(config.tasks)

    def about(self) -> dict[str, Any]:
        """What an adapter file says of the run."""
        return {
            "early_channels": self.sama.sam.backbone.early_channels,
            "provenance": dataclasses.asdict(self.provenance),
        }

    def resume(self, about: dict[str, Any], folder: Path) -> None:
        """Take back the provenance.

        Raises:
            ConfigError: the run is on other weights of the SAM.
        """
        trained_on, ours = about["provenance"]["backbone_sha256"], self.provenance.backbone_sha256
        if trained_on != ours:
            raise ConfigError(
                f"The run in {folder} is on other weights of “{self.config.model}” (SHA-256 {trained_on[:12]}…, "
                f"now {ours[:12]}…). Give it the weights it began with, or choose another folder."
            )
        self.provenance = Provenance(**about["provenance"])

    def batches(self, first: int) -> Iterable[list[ViewSample]]:
        """Each process's own samples of each step."""
        config = self.config
        stride = config.batch * self.processes
        begins = (step * stride + self.rank * config.batch for step in itertools.count(first))
        numbers = (list(range(begin, begin + config.batch)) for begin in begins)
        return load_batches(Turns(self.sources, config, self.processes), numbers, config.workers)

    def export(self, averaged: dict[str, torch.Tensor], path: Path, step: int) -> None:
        """Write an adapter file."""
        _save_adapter(averaged, self.about(), self.config, path, step)

    def running_statistics(self) -> list[torch.Tensor]:
        """BatchNorm's, wherever it is not frozen."""
        layers = [module for module in self.model.modules() if module.training]
        return [buffer for layer in layers for buffer in layer.buffers(recurse=False) if buffer.is_floating_point()]

    def _set_modes(self, task: Task) -> None:
        """The other task's token and head are frozen, running statistics included; so is what both share, if asked."""
        modules = self.model
        self.sama.train(not self.config.heads_only)
        modules.requires_grad_(not self.config.heads_only)
        for name, head in modules.heads.items():
            head.train(name == task).requires_grad_(name == task)
            modules.tokens[name].requires_grad_(name == task)

    def _inputs(self, samples: list[ViewSample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised global input B×3×S×S and fine picture B×3×2S×2S, padding at zero."""
        pixels = torch.from_numpy(np.stack([s.pixels for s in samples])).to(self.device)
        pixels = pixels.permute(0, 3, 1, 2).float()
        inside = torch.zeros_like(pixels[:, :1])
        for i, sample in enumerate(samples):
            inside[i, :, : sample.height, : sample.width] = 1
        fine = self.sama.sam.standardise(pixels) * inside
        x = nn.functional.avg_pool2d(fine, 2)
        return x, fine if self.config.modules.fine_views else enlarge_input(x)

    def _prompts(
        self, samples: list[ViewSample], step: int
    ) -> tuple[list[SimulatedPrompt], np.ndarray, np.ndarray, int]:
        """First prompts, truth and what is known of it (B×256×256 bool each), and the number of corrections."""
        config, size = self.config, self.sama.sam.input_size
        rng = np.random.default_rng((config.seed, 4, step, self.rank))
        truth = np.stack([_low(s.target) for s in samples])
        known = np.stack([_low(s.valid.astype(np.uint8) * 255) for s in samples])
        draw = first_prompt if config.prompts == "dialogue" else hq_sam_prompt
        prompts = [draw(t & k, k, size, rng) for t, k in zip(truth, known, strict=True)]
        rounds = int(rng.choice(config.extra_rounds)) if config.prompts == "dialogue" else 0
        return prompts, truth, known, rounds

    def gradients(self, batch: list[ViewSample], step: int) -> Outcome:
        """Learn one task from samples of it."""
        samples, task = batch, self.config.tasks[step % self.turns]
        config, model, sam = self.config, self.sama, self.sama.sam
        self._set_modes(task)
        x, fine = self._inputs(samples)
        prompts, truth, known, rounds = self._prompts(samples, step)
        rng = np.random.default_rng((config.seed, 5, step, self.rank))
        precise = torch.bfloat16 if config.precision == "bfloat16" else None
        with torch.autocast(self.device.type, precise, enabled=precise is not None):
            features = model.encode(x, fine, chunk=config.encoder_chunk)
            with torch.no_grad():
                for _ in range(rounds):
                    sparse, dense = sam.embed_prompts(*self._tensors(prompts))
                    stock = sam.decode(features.embedding, sparse, dense, features.high_res).logits[:, 0]
                    correct(prompts, stock.float().cpu().numpy(), truth, known, sam.input_size, rng)
                points, labels, masks, has_mask = self._tensors(prompts)
                sparse, dense = sam.embed_prompts(points, labels, masks, has_mask)
                stock = sam.decode(features.embedding, sparse, dense, features.high_res).logits[:, :1]
            local = model.local_tokens(features)
            decoded = model.decode(task, features.embedding, local, sparse, dense, stock, points, labels, fine)
        target = torch.from_numpy(np.stack([s.target for s in samples])).to(self.device).float().unsqueeze(1) / 255
        valid = torch.from_numpy(np.stack([s.valid for s in samples])).to(self.device).unsqueeze(1)
        drawn_by_hand = [i for i, sample in enumerate(samples) if sample.annotated]
        if drawn_by_hand:
            target[drawn_by_hand] = _to_edges(target[drawn_by_hand], fine[drawn_by_hand])
        size = target.shape[-2:]
        logits = nn.functional.interpolate(decoded.logits, size=size, mode="bilinear", align_corners=False)
        losses = (segmentation_loss if task == "segmentation" else matting_loss)(logits, target, valid)
        torch.stack(list(losses.values())).sum().backward()
        with torch.no_grad():
            wrong = ((torch.sigmoid(logits) - target).abs() * valid).sum() / valid.sum().clamp(min=1)
            before = nn.functional.interpolate(stock.float(), size=size, mode="bilinear", align_corners=False)
            stock_wrong = ((torch.sigmoid(before) - target).abs() * valid).sum() / valid.sum().clamp(min=1)
        row = {name: round(value.item(), 5) for name, value in losses.items()}
        row |= {"mad": round(wrong.item(), 5), "stock_mad": round(stock_wrong.item(), 5), "task": task}
        answers = torch.sigmoid(logits[:, 0].detach())
        return Outcome(row, lambda: modules_sheet(samples, answers.cpu().numpy(), prompts))

    def _tensors(self, prompts: list[SimulatedPrompt]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self.device) for array in to_arrays(prompts)]


def _to_edges(masks: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Annotated masks as alphas: B×1×T×T in 0..1 carried to the edges of B×3×F×F pictures."""
    size = masks.shape[-1]
    edges = follow_edges(torch.logit(masks.clamp(0.02, 0.98)), fine, _ANNOTATION_REACH * size // 512)
    # the filter leaves a trace of doubt everywhere; only its edge is wanted
    return ((edges - 0.05) / 0.9).clamp(0, 1)


def _save_adapter(
    averaged: dict[str, torch.Tensor], about: dict[str, Any], config: ModulesConfig, path: Path, step: int
) -> None:
    modules = SamaModules(config.modules, about["early_channels"])
    modules.load_state_dict(averaged)
    training = {
        "steps": step,
        "seed": config.seed,
        "tasks": list(config.tasks),
        "data": about["provenance"]["data"],
        "start": about["provenance"]["start"],
    }
    save_adapter(modules, path, config.model, about["provenance"]["backbone_sha256"], training)


def export_run(folder: Path, out: Path) -> int:
    """Write the averaged weights of a run's last checkpoint as an adapter file.

    Args:
        folder: of the run.
        out: the file, .safetensors; its metadata names data sets with their numbers of targets, steps and seed.

    Returns:
        The step of the checkpoint.

    Raises:
        ConfigError: there is no run in the folder, or it has no checkpoint yet.
    """
    config = load_config(folder / "config.toml", ModulesConfig)
    if not (folder / "last.pt").is_file():
        raise ConfigError(f"The run in {folder} has no checkpoint yet. Let it train {config.checkpoint_every} steps.")
    state = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)
    _save_adapter(state["ema"], state["about"], config, out, state["step"])
    return state["step"]


def start_from(
    adapter: Path, config: ModulesConfig, early_channels: int, backbone_sha256: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Take from an adapter what fits the modules of a recipe; the rest begins at random as `config.seed` says.

    Args:
        adapter: for the same SAM with the same weights.
        config: the recipe.
        early_channels: of the backbone.
        backbone_sha256: of the SAM's weights, hex.

    Returns:
        A whole state of the modules, and the names of the tensors that begin anew.

    Raises:
        WeightsError: the adapter is missing, damaged, or for another SAM.
        ConfigError: nothing of it fits.
    """
    trained = load_adapter(adapter, early_channels, config.model, backbone_sha256)[0].state_dict()
    torch.manual_seed(config.seed)
    state = SamaModules(config.modules, early_channels).state_dict()
    fitting = {name for name, tensor in state.items() if name in trained and trained[name].shape == tensor.shape}
    if not fitting:
        raise ConfigError(f"Nothing of {adapter} fits the recipe's modules. Start without it, or change [modules].")
    return {**state, **{name: trained[name] for name in fitting}}, sorted(set(state) - fitting)
