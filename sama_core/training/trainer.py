"""The one trainer: schedule, averaged weights, saving and resuming, log, Ctrl-C, and several processes (torchrun).

What is trained is a `Task`: its network, batches, loss, and measure on photos held out.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sama_core.errors import ConfigError
from sama_core.training import distributed
from sama_core.training.config import RunConfig
from sama_core.training.config_file import load_config, save_config

#: Settings that a resumed run may change; others would make it another run.
_MAY_CHANGE = frozenset(
    {"steps", "seconds", "schedule", "step_at", "checkpoint_every", "sample_every", "check_photos", "workers"}
)


@dataclass(frozen=True)
class Outcome:
    """What a step gave.

    Attributes:
        row: losses and the like for the log; a text under "task" names what the step trained.
        picture: draws prompts, targets and answers, H×W×3 uint8 RGB, when a picture is wanted.
    """

    row: dict[str, Any]
    picture: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Score:
    """A measure on photos held out: `value`, the higher the better, and a row for the log."""

    value: float
    row: dict[str, Any]


class Task(ABC):
    """What a run trains.

    Attributes:
        model: what is trained, saved and averaged; its gradients are those of `gradients`.
        turns: so many steps in a row are of different kinds, and each gets a picture when one is due.
    """

    model: nn.Module
    turns = 1

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Groups of the optimiser, each with the highest rate of its own."""
        return [{"params": list(self.model.parameters()), "lr": learning_rate}]

    @abstractmethod
    def batches(self, first: int) -> Iterable[Any]:
        """Batches of step `first` (from 0) and those after it, without end; each depends on its step alone."""

    @abstractmethod
    def gradients(self, batch: Any, step: int) -> Outcome:
        """Set the gradients of one step, which are none beforehand; random numbers depend on seed and step alone."""

    @abstractmethod
    def export(self, averaged: dict[str, torch.Tensor], path: Path, step: int) -> None:
        """Write averaged weights as the file that the engine reads."""

    def measure(self, averaged: dict[str, torch.Tensor]) -> Score | None:
        """Measure averaged weights on what is held out; None where nothing is."""
        return None

    def running_statistics(self) -> list[torch.Tensor]:
        """Buffers that change in a step and are averaged over processes, as gradients are."""
        return []

    def about(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps beside the weights."""
        return {}

    def resume(self, about: dict[str, Any], folder: Path) -> None:  # noqa: B027 - most have nothing to take back
        """Take back what `about` gave in an earlier sitting.

        Raises:
            ConfigError: this is another run's.
        """


class Trainer:
    """One run in one folder: `config.toml`, `log.jsonl`, `events.*` (TensorBoard, if asked), `samples/`, `last.pt`,
    `best.safetensors` (where a task measures itself) and, in the end, `ema.safetensors`.

    Under torchrun every process trains on samples of its own; gradients and running statistics are averaged over the
    processes, so that weights stay the same in all of them, and the first process writes.

    Args:
        task: what to train, on its device.
        config: the recipe.
        folder: of the run; a run found there is resumed.
        device: where the task is.

    Raises:
        ConfigError: the run found in the folder has another recipe, or its task will not go on with it.
    """

    def __init__(self, task: Task, config: RunConfig, folder: Path, device: torch.device) -> None:
        self.task, self.config, self.folder, self.device = task, config, folder, device
        self.rank, self.processes = distributed.rank_and_count()
        folder.mkdir(parents=True, exist_ok=True)
        groups = task.parameter_groups(config.learning_rate)
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self._highest = [group["lr"] for group in groups]
        self.ema = {name: tensor.detach().clone() for name, tensor in task.model.state_dict().items()}
        self.step, self.elapsed, self.best = 0, 0.0, -math.inf
        if (folder / "last.pt").exists():
            self._resume()
        if not distributed.agree(self.step, device):
            raise ConfigError(f"Not all processes found the same run in {folder}: it must be on a disk that all share.")
        if self.rank == 0:
            # another process may be reading it
            temporary = folder / f"config.{os.getpid()}.tmp"
            save_config(config, temporary)
            temporary.replace(folder / "config.toml")

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", map_location=self.device, weights_only=True)
        if "about" not in state:
            raise ConfigError(f"An older version made the run in {self.folder}. Choose another folder for this one.")
        check_recipe(self.folder, self.config)
        self.task.resume(state["about"], self.folder)
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step, self.elapsed, self.best = (state[name] for name in ("ema", "step", "elapsed", "best"))

    def save(self) -> None:
        """Write `last.pt` whole or not at all."""
        state = {
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "elapsed": self.elapsed,
            "best": self.best,
            "about": self.task.about(),
        }
        temporary = self.folder / f"last.{os.getpid()}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "last.pt")

    def run(self) -> bool:
        """Train to the end, or until Ctrl-C, which ends the step in hand and saves.

        Being killed loses at most `config.checkpoint_every` steps.

        Returns:
            Whether the run is done.
        """
        config, began = self.config, time.monotonic() - self.elapsed
        over = self.progress() >= 1
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_Log(self.folder, config.tensorboard, self.step)) if self.rank == 0 else None
            stop = stack.enter_context(StopRequest(patient=self.processes > 1))
            if log is not None and not self.step:
                self._measure(log)
            batches = iter(self.task.batches(self.step))
            while not over:
                outcome = self.train_step(next(batches))
                self.elapsed = time.monotonic() - began
                if log is not None:
                    log.write(outcome.row | {"step": self.step, "seconds": round(self.elapsed, 1)})
                    if outcome.picture is not None and self.step % config.sample_every < self.task.turns:
                        log.show(outcome.picture(), str(outcome.row.get("task", "")), self.step)
                stopped = distributed.any_of(stop.asked, self.device)
                # the first process's clock is everyone's
                over = distributed.any_of(self.rank == 0 and self.progress() >= 1, self.device)
                due = over or self.step % config.checkpoint_every == 0
                if log is not None and due:
                    self._measure(log)
                if log is not None and (due or stopped):
                    self.save()
                if stopped and not over:
                    return False
        if self.rank == 0:
            self.export(self.folder / "ema.safetensors")
        return True

    def export(self, path: Path) -> None:
        """Write the averaged weights."""
        self.task.export(self.ema, path, self.step)

    def _measure(self, log: _Log) -> None:
        score = self.task.measure(self.ema)
        if score is None:
            return
        log.write({"step": self.step} | score.row)
        if score.value > self.best:
            self.best = score.value
            self.export(self.folder / "best.safetensors")

    def progress(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is further; 0 of a length that is 0."""
        return max(done / all_ for done, all_ in self._lengths() if all_)

    def _lengths(self) -> tuple[tuple[float, float], ...]:
        return (self.step, self.config.steps), (self.elapsed, self.config.seconds)

    def rate(self) -> float:
        """The learning rate of the step in hand as a share of the highest: a linear rise, times the schedule."""
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup))
        progress = min(1.0, self.progress())
        if self.config.schedule == "step":
            return warm * (1.0 if progress < self.config.step_at else 0.1)
        return warm * 0.5 * (1 + math.cos(math.pi * progress))

    def train_step(self, batch: Any) -> Outcome:
        """Learn from one batch."""
        self.optimizer.zero_grad(set_to_none=True)
        outcome = self.task.gradients(batch, self.step)
        outcome.row["norm"] = round(self.update(), 4)
        return outcome

    def update(self) -> float:
        """Take the step that the gradients say; returns their norm over all processes."""
        for group, highest in zip(self.optimizer.param_groups, self._highest, strict=True):
            group["lr"] = highest * self.rate()
        trained = [p for p in self.task.model.parameters() if p.grad is not None]
        # every process trains the same kind of thing in a step, so the same parameters have gradients everywhere
        distributed.average([p.grad for p in trained if p.grad is not None])
        distributed.average(self.task.running_statistics())
        norm = nn.utils.clip_grad_norm_(trained, self.config.clip_norm)
        if not torch.isfinite(norm):
            # one bad batch must not end a run
            for parameter in trained:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)  # type: ignore[union-attr]
        self.optimizer.step()
        self.step += 1
        self._average()
        return norm.nan_to_num(0.0, 0.0, 0.0).item()

    def _average(self) -> None:
        # a young average would remember the random start
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = {name: tensor.detach() for name, tensor in self.task.model.state_dict().items()}
        floating = [name for name, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(  # type: ignore[attr-defined]
            [self.ema[name] for name in floating], [state[name] for name in floating], 1 - decay
        )
        for name in state.keys() - set(floating):
            self.ema[name].copy_(state[name])


class _Log:
    """`log.jsonl`, `samples/` and, if asked, TensorBoard's events."""

    def __init__(self, folder: Path, tensorboard: bool, step: int) -> None:
        self._folder = folder
        self._file = (folder / "log.jsonl").open("a")
        self._board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append a row; its floats are curves."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float) and name != "seconds":
                    self._board.add_scalar(f"{row.get('task', 'run')}/{name}", value, row["step"])

    def show(self, picture: np.ndarray, title: str, step: int) -> None:
        """Keep a picture, H×W×3 uint8 RGB."""
        path = self._folder / "samples" / f"{step:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture[..., ::-1])
        if self._board is not None:
            self._board.add_image(title or "samples", picture, step, dataformats="HWC")


class StopRequest:
    """A context in which the first Ctrl-C only sets `asked`; a second one interrupts at once.

    Args:
        patient: a second one is ignored too. torchrun passes the signal on to processes that already had it.
    """

    def __init__(self, patient: bool = False) -> None:
        self.asked = False
        self._patient = patient

    def __enter__(self) -> StopRequest:
        # Python lets only the main thread handle signals
        self._handles = threading.current_thread() is threading.main_thread()
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._patient:
            raise KeyboardInterrupt
        self.asked = True


def load_batches(dataset: Dataset, batches: Iterator[list[int]], workers: int) -> DataLoader:
    """A loader of the batches with these numbers, each as the dataset makes it (a list, or what `__getitems__` gives).

    Args:
        workers: processes that prepare them; 0 for none.
    """
    others: dict[str, Any] = {}
    if workers:
        # a forked worker would inherit OpenCV's and OpenMP's locks, held by threads that it has not
        others = {"prefetch_factor": 3, "multiprocessing_context": "spawn", "worker_init_fn": _begin_worker}
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_it_is, num_workers=workers, **others)  # type: ignore[arg-type]


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin_worker(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; the trainer stops its workers when it is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def allow_fast_kernels(device: torch.device) -> None:
    """Let a GPU look for its fastest kernels and round float32 products to TF32: every step has the same shapes."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU. Most CPUs only imitate it, several times slower than float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def check_recipe(folder: Path, config: RunConfig) -> None:
    """See that a run can go on with this recipe.

    Raises:
        ConfigError: it has another one.
    """
    earlier = load_config(folder / "config.toml", type(config))
    different = [
        name
        for name in type(config).model_fields
        if name not in _MAY_CHANGE and getattr(config, name) != getattr(earlier, name)
    ]
    if different:
        raise ConfigError(
            f"The run in {folder} was made with another recipe: {', '.join(different)} differ from its config.toml. "
            f"Choose another folder, or change no more than {', '.join(sorted(_MAY_CHANGE))}."
        )
