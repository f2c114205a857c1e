"""The training loop of the SAMA modules on a frozen SAM: CPU or GPUs (torchrun), resumable, tasks taking turns."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sama_core.errors import ConfigError
from sama_core.images import LOW_RES
from sama_core.model.sam import PromptableSam
from sama_core.model.sama import Sama, SamaModules, Task, follow_edges
from sama_core.model.views import enlarge_input
from sama_core.training import processes
from sama_core.training.config_file import load_config, save_config
from sama_core.training.interrupt import StopRequest
from sama_core.training.prompts import SimulatedPrompt, correct, first_prompt, hq_sam_prompt, to_arrays
from sama_core.training.sama_config import SamaTrainConfig
from sama_core.training.sama_losses import matting_loss, segmentation_loss
from sama_core.training.sample_sheet import write_sheet
from sama_core.training.samples import Source, ViewSample

#: Radius of the guided filter over annotated masks, in pixels of a 512×512 target: hand-drawn edges are off by some 3.
_ANNOTATION_REACH = 6
#: Settings that a resumed run may change; others would make it another run.
_MAY_CHANGE = frozenset({"steps", "seconds", "schedule", "step_at", "checkpoint_every", "sample_every", "workers"})


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

    def __init__(self, sources: dict[Task, Source], config: SamaTrainConfig, processes: int) -> None:
        self.sources, self.config, self.processes = sources, config, processes

    def __len__(self) -> int:
        return self.config.steps * self.config.batch * self.processes

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


def _as_list(samples: list[ViewSample]) -> list[ViewSample]:
    return samples


def _begin_worker(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; the trainer stops its workers when it is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


class SamaTrainer:
    """One run in one folder: `config.toml`, `log.jsonl`, `events.*` (TensorBoard), `samples/`, and
    `last.pt` with weights, optimiser and averaged weights.

    Under torchrun every process trains on samples of its own; gradients and BatchNorm's running statistics are averaged
    over the processes, so that weights stay the same in all of them, and the first process writes. BatchNorm itself
    normalises by the process's own samples.

    Args:
        sam: the stock model with its weights.
        sources: of samples, for each task of the configuration.
        config: the recipe.
        folder: of the run; a run found there is resumed.
        device: where to train.
        start: state of SAMA modules to start from; a resumed run does not look at it.
        provenance: of the run.

    Raises:
        ConfigError: the run found in the folder has another recipe, or was on other weights of the SAM.
    """

    def __init__(
        self,
        sam: PromptableSam,
        sources: dict[Task, Source],
        config: SamaTrainConfig,
        folder: Path,
        device: torch.device,
        start: dict[str, torch.Tensor] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.config, self.folder, self.device, self.sources = config, folder, device, sources
        self.provenance = provenance or Provenance()
        self.rank, self.processes = processes.rank_and_count()
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.model = Sama(sam, SamaModules(config.modules, sam.backbone.early_channels))
        if start is not None:
            self.model.sama.load_state_dict(start)
        self.model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trained = list(self.model.sama.parameters())
        self.optimizer = torch.optim.AdamW(self.trained, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.ema = {name: tensor.detach().clone() for name, tensor in self.model.sama.state_dict().items()}
        self.step, self.elapsed = 0, 0.0
        if (folder / "last.pt").exists():
            check_recipe(folder, config)
            self._resume()
        if not processes.agree(self.step, device):
            raise ConfigError(f"Not all processes found the same run in {folder}: it must be on a disk that all share.")
        if self.rank == 0:
            self._write_config()

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", map_location=self.device, weights_only=True)
        trained_on, ours = state["provenance"]["backbone_sha256"], self.provenance.backbone_sha256
        if trained_on != ours:
            raise ConfigError(
                f"The run in {self.folder} is on other weights of “{self.config.model}” (SHA-256 {trained_on[:12]}…, "
                f"now {ours[:12]}…). Give it the weights it began with, or choose another folder."
            )
        self.provenance = Provenance(**state["provenance"])
        self.model.sama.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step, self.elapsed = state["ema"], state["step"], state["elapsed"]

    def _write_config(self) -> None:
        # another process may be reading it
        temporary = self.folder / f"config.{os.getpid()}.tmp"
        save_config(self.config, temporary)
        temporary.replace(self.folder / "config.toml")

    def save(self) -> None:
        """Write `last.pt` whole or not at all."""
        state = {
            "modules": self.model.sama.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "elapsed": self.elapsed,
            "early_channels": self.model.sam.backbone.early_channels,
            "provenance": dataclasses.asdict(self.provenance),
        }
        temporary = self.folder / f"last.{os.getpid()}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "last.pt")

    def run(self) -> bool:
        """Train to `config.steps`, or until Ctrl-C, which ends the step in hand and saves.

        Being killed loses at most `config.checkpoint_every` steps.

        Returns:
            Whether all steps are done.
        """
        config = self.config
        began = time.time() - self.elapsed
        with contextlib.ExitStack() as stack:
            log, board = None, None
            if self.rank == 0:
                from torch.utils.tensorboard import SummaryWriter

                log = stack.enter_context((self.folder / "log.jsonl").open("a"))
                board = stack.enter_context(SummaryWriter(str(self.folder), purge_step=self.step + 1))
            stop = stack.enter_context(StopRequest(patient=self.processes > 1))
            for samples in self._batches():
                row, answers, prompts = self._gradients(samples)
                row["norm"] = round(self._update(), 4)
                self.elapsed = time.time() - began
                if log is not None and board is not None:
                    row |= {"step": self.step, "seconds": round(self.elapsed, 1)}
                    log.write(json.dumps(row) + "\n")
                    log.flush()
                    for name, value in row.items():
                        if isinstance(value, float) and name != "seconds":
                            board.add_scalar(f"{row['task']}/{name}", value, self.step)
                    if self.step % config.sample_every < len(config.tasks):
                        picture = write_sheet(
                            self.folder / "samples" / f"{self.step:06d}.jpg", samples, answers, prompts
                        )
                        board.add_image(str(row["task"]), picture, self.step, dataformats="HWC")
                stopped = processes.any_of(stop.asked, self.device)
                # the first process's clock is everyone's
                over = processes.any_of(self.rank == 0 and self._progress() >= 1, self.device)
                due = self.step % config.checkpoint_every == 0 or over
                if self.rank == 0 and (due or stopped):
                    self.save()
                if over:
                    return True
                if stopped:
                    break
        return self._progress() >= 1

    def _batches(self) -> Iterator[list[ViewSample]]:
        config = self.config
        turns = Turns(self.sources, config, self.processes)
        stride = config.batch * self.processes
        order = [
            step * stride + self.rank * config.batch + i
            for step in range(self.step, config.steps)
            for i in range(config.batch)
        ]
        workers = {"num_workers": config.workers}
        if config.workers:
            # a forked worker would inherit OpenCV's and OpenMP's locks, held by threads that it has not
            workers |= {"prefetch_factor": 3, "multiprocessing_context": "spawn", "worker_init_fn": _begin_worker}  # type: ignore[dict-item]
        yield from DataLoader(turns, batch_size=config.batch, sampler=order, collate_fn=_as_list, **workers)  # type: ignore[arg-type]

    def _progress(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is further."""
        config = self.config
        by_clock = self.elapsed / config.seconds if config.seconds else 0.0
        return max(self.step / config.steps, by_clock)

    def _rate(self) -> float:
        config, progress = self.config, self._progress()
        if self.step < config.warmup:
            return (self.step + 1) / config.warmup
        if config.schedule == "step":
            return 1.0 if progress < config.step_at else 0.1
        warm = config.warmup / config.steps if not config.seconds else 0.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm) / max(1 / config.steps, 1 - warm))))

    def _set_modes(self, task: Task) -> None:
        """The other task's token and head are frozen, running statistics included; so is what both share, if asked."""
        modules = self.model.sama
        self.model.train(not self.config.heads_only)
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
        fine = self.model.sam.standardise(pixels) * inside
        x = nn.functional.avg_pool2d(fine, 2)
        return x, fine if self.config.modules.fine_views else enlarge_input(x)

    def _prompts(self, samples: list[ViewSample]) -> tuple[list[SimulatedPrompt], np.ndarray, np.ndarray, int]:
        config, size = self.config, self.model.sam.input_size
        rng = np.random.default_rng((config.seed, 4, self.step, self.rank))
        truth = np.stack([_low(s.target) for s in samples])
        known = np.stack([_low(s.valid.astype(np.uint8) * 255) for s in samples])
        draw = first_prompt if config.prompts == "dialogue" else hq_sam_prompt
        prompts = [draw(t & k, k, size, rng) for t, k in zip(truth, known, strict=True)]
        rounds = int(rng.choice(config.extra_rounds)) if config.prompts == "dialogue" else 0
        return prompts, truth, known, rounds

    @property
    def _task(self) -> Task:
        """Of the step in hand."""
        return self.config.tasks[self.step % len(self.config.tasks)]

    def _gradients(self, samples: list[ViewSample]) -> tuple[dict, np.ndarray, list[SimulatedPrompt]]:
        """Set the gradients of this process's samples; returns a row for the log, answers B×T×T in 0..1 and prompts."""
        config, model, sam, task = self.config, self.model, self.model.sam, self._task
        self._set_modes(task)
        x, fine = self._inputs(samples)
        prompts, truth, known, rounds = self._prompts(samples)
        rng = np.random.default_rng((config.seed, 5, self.step, self.rank))
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
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        with torch.no_grad():
            wrong = ((torch.sigmoid(logits) - target).abs() * valid).sum() / valid.sum().clamp(min=1)
            before = nn.functional.interpolate(stock.float(), size=size, mode="bilinear", align_corners=False)
            stock_wrong = ((torch.sigmoid(before) - target).abs() * valid).sum() / valid.sum().clamp(min=1)
        row = {name: round(value.item(), 5) for name, value in losses.items()}
        row |= {"mad": round(wrong.item(), 5), "stock_mad": round(stock_wrong.item(), 5), "task": task}
        return row, torch.sigmoid(logits[:, 0].detach()).cpu().numpy(), prompts

    def _update(self) -> float:
        """End the step; returns the norm of the gradients over all processes."""
        # every process trains the same task in a step, so the same parameters have gradients everywhere
        processes.average([p.grad for p in self.trained if p.grad is not None])
        processes.average(self._running_statistics())
        norm = nn.utils.clip_grad_norm_(self.trained, self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        self.optimizer.step()
        self.step += 1
        self._average_weights()
        return norm.item()

    def _tensors(self, prompts: list[SimulatedPrompt]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self.device) for array in to_arrays(prompts)]

    def _running_statistics(self) -> list[torch.Tensor]:
        """BatchNorm's, wherever it is not frozen."""
        layers = [module for module in self.model.sama.modules() if module.training]
        return [buffer for layer in layers for buffer in layer.buffers(recurse=False) if buffer.is_floating_point()]

    def _average_weights(self) -> None:
        # a young average would remember the random start
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, tensor in self.model.sama.state_dict().items():
            if tensor.dtype.is_floating_point:
                self.ema[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.ema[name].copy_(tensor)


def _to_edges(masks: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Annotated masks as alphas: B×1×T×T in 0..1 carried to the edges of B×3×F×F pictures."""
    size = masks.shape[-1]
    edges = follow_edges(torch.logit(masks.clamp(0.02, 0.98)), fine, _ANNOTATION_REACH * size // 512)
    # the filter leaves a trace of doubt everywhere; only its edge is wanted
    return ((edges - 0.05) / 0.9).clamp(0, 1)


def check_recipe(folder: Path, config: SamaTrainConfig) -> None:
    """See that a run can go on with this recipe.

    Raises:
        ConfigError: it has another one.
    """
    earlier = load_config(folder / "config.toml", SamaTrainConfig)
    different = [
        name
        for name in SamaTrainConfig.model_fields
        if name not in _MAY_CHANGE and getattr(config, name) != getattr(earlier, name)
    ]
    if different:
        raise ConfigError(
            f"The run in {folder} was made with another recipe: {', '.join(different)} differ from its config.toml. "
            f"Choose another folder, or change no more than {', '.join(sorted(_MAY_CHANGE))}."
        )
