"""Train the alpha refiner (`model.refiner`) for a given time.

usage: python -m sama_core.training.refiner_cli --data DATA --out FILE --seconds 320 --workers 13 --device cuda

DATA has the layout of `data.sets.find_entries`; its training photos are used, one in fifty of them for the check alone.
Workers draw tiles for as long as the run lasts; the newest stay in a pool on the device, from which batches are
composited. The learning rate follows the clock and is 0 at the end, whatever the machine's speed. FILE (.safetensors)
is written every minute and at the end, the losses beside it as JSON lines.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import mmap
import multiprocessing
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sama_core.data.sets import Entry, find_entries
from sama_core.training.refiner_tiles import BACKGROUND, BACKGROUNDS, CHANNELS, TILE, TILES, TileSource

if TYPE_CHECKING:
    import torch

    from sama_core.model.refiner import Refiner
    from sama_core.training.refiner_batches import Examples

_PR_SET_PDEATHSIG = 1
#: One photo in so many is kept for the check.
_HELD_OUT = 50
_TILE_BYTES = TILES * CHANNELS * TILE * TILE
_GROUND_BYTES = BACKGROUNDS * 3 * BACKGROUND * BACKGROUND
_SLOTS_PER_WORKER = 4
#: Training begins with so many tiles, or after so many seconds with what there is.
_FIRST_TILES, _PATIENCE = 384, 25.0
#: Steps until the learning rate is reached.
_WARMUP = 150
#: Kept back at the end for the last file, seconds.
_RESERVE = 6.0


@dataclass(frozen=True)
class Recipe:
    """How the refiner is trained.

    Attributes:
        seconds: from the start of the process to the last file.
        workers: processes that draw tiles.
        batch: examples a step.
        crop: side of an example, pixels.
        pool: tiles kept on the device (717 KB each).
        grounds: backgrounds kept on the device (786 KB each).
        check: drawn objects of held-out photos for the check.
        learning_rate: at its highest.
        save_every: seconds between files.
        seed: of tiles, batches and weights.
    """

    seconds: float
    workers: int
    batch: int = 64
    crop: int = 256
    pool: int = 20_000
    grounds: int = 4_000
    check: int = 24
    learning_rate: float = 2e-3
    save_every: float = 60.0
    seed: int = 0


class Workers:
    """Processes that draw tiles into shared memory.

    They are forked, so start them before the device is touched.

    Args:
        entries: photos for training; held: photos for the check.
        check: the first worker draws so many objects of `held` first.
    """

    def __init__(self, entries: list[Entry], held: list[Entry], count: int, check: int, seed: int) -> None:
        context = multiprocessing.get_context("fork")
        slots = _SLOTS_PER_WORKER * count
        self._slot_bytes = _TILE_BYTES + _GROUND_BYTES
        # anonymous memory: /dev/shm may be small
        self._memory = mmap.mmap(-1, slots * self._slot_bytes)
        self._free, self._ready = context.SimpleQueue(), context.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)
        self._processes: list[BaseProcess] = []
        for number in range(count):
            share = (entries, held, check if number == 0 else 0, (seed, number))
            process = context.Process(target=self._work, args=share, daemon=True)
            process.start()
            self._processes.append(process)

    def receive(self) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """The next tiles (N×7×320×320), backgrounds (M×3×512×512), and whether they are for the check; None when
        nothing is ready."""
        if self._ready.empty():
            return None
        slot, for_check = self._ready.get()
        tiles, grounds = (part.copy() for part in self._views(slot))
        self._free.put(slot)
        return tiles, grounds, for_check

    def alive(self) -> int:
        """Workers that still run."""
        return sum(process.is_alive() for process in self._processes)

    def stop(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(timeout=2)

    def _views(self, slot: int) -> tuple[np.ndarray, np.ndarray]:
        start = slot * self._slot_bytes
        tiles = np.frombuffer(self._memory, np.uint8, _TILE_BYTES, start).reshape(TILES, CHANNELS, TILE, TILE)
        grounds = np.frombuffer(self._memory, np.uint8, _GROUND_BYTES, start + _TILE_BYTES)
        return tiles, grounds.reshape(BACKGROUNDS, 3, BACKGROUND, BACKGROUND)

    def _work(self, entries: list[Entry], held: list[Entry], check: int, seed: tuple[int, int]) -> None:
        _end_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        cv2.setNumThreads(1)
        source, held_source = TileSource(entries), TileSource(held)
        number, failures = 0, 0
        while True:
            for_check = number < check
            try:
                made = (held_source if for_check else source).make(np.random.default_rng((*seed, number)))
            except Exception:  # one bad photo must not end a run
                failures += 1
                if failures <= 3:
                    traceback.print_exc()
                number += 1
                continue
            number += 1
            slot = self._free.get()
            tiles, grounds = self._views(slot)
            tiles[:], grounds[:] = made
            self._ready.put((slot, for_check))


class Run:
    """One training run.

    Args:
        recipe: how.
        out: the file to write, .safetensors.
        device: cpu or cuda.
        began: when the process started, as `time.monotonic` has it.
    """

    def __init__(self, recipe: Recipe, workers: Workers, out: Path, device: torch.device, began: float) -> None:
        import torch

        from sama_core.model.refiner import Refiner
        from sama_core.training.refiner_batches import Batches, pools

        torch.manual_seed(recipe.seed)
        self._recipe, self._workers, self._out, self._device = recipe, workers, out, device
        self._end = began + recipe.seconds - _RESERVE
        self._began = began
        self.network: Refiner = Refiner().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._tiles, self._grounds = pools(recipe.pool, recipe.grounds, device)
        self._batches = Batches(self._tiles, self._grounds, recipe.batch, recipe.crop, recipe.seed, device)
        held = max(1, recipe.check * TILES), max(1, recipe.check * BACKGROUNDS)
        self._held_tiles, self._held_grounds = pools(*held, device)
        self._log = out.with_suffix(".jsonl")
        self.steps = 0

    def train(self) -> None:
        """Train until the time is up."""
        import torch

        recipe, device = self._recipe, self._device
        # before the wait: making one imports much of PyTorch
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
        self._wait_for_tiles()
        first = time.monotonic()
        next_save, next_line = first + recipe.save_every, first
        sums: dict[str, torch.Tensor] = {}
        counted = 0
        self.network.train()
        while (now := time.monotonic()) < self._end:
            self._receive(8)
            progress = min(1.0, (now - first) / max(self._end - first, 1e-3))
            rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            rate *= min(1.0, (self.steps + 1) / _WARMUP)
            for group in optimiser.param_groups:
                group["lr"] = rate
            terms = self._step(optimiser, self._batches.draw())
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value
            self.steps += 1
            counted += 1
            if now >= next_line:
                means = {name: float(value) / counted for name, value in sums.items()}
                self._say(step=self.steps, rate=rate, tiles=self._tiles.added, workers=self._workers.alive(), **means)
                sums, counted = {}, 0
                next_line = now + 5
            if now >= next_save:
                self.save()
                self._say(step=self.steps, **self.check())
                next_save = time.monotonic() + recipe.save_every
        if device.type == "cuda":
            torch.cuda.synchronize()

    def _step(self, optimiser: torch.optim.Optimizer, examples: Examples) -> dict[str, torch.Tensor]:
        import torch

        optimiser.zero_grad(set_to_none=True)
        terms = losses(self.network, examples, self._device)
        torch.stack(list(terms.values())).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        # one bad batch must not end a run: with a gradient that is not finite the step does nothing
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimiser.step()
        return {name: value.detach() for name, value in terms.items()} | {"norm": norm.nan_to_num(0.0, 0.0, 0.0)}

    def check(self) -> dict[str, float]:
        """Mean |α̂ − α| in the band on the held-out tiles, of the coarse mask and of the network's answer, in
        thousandths."""
        import torch

        from sama_core.training.refiner_batches import Batches

        if not (self._held_tiles.filled and self._held_grounds.filled):
            return {}
        batches = Batches(self._held_tiles, self._held_grounds, 16, self._recipe.crop, 1, self._device)
        self.network.eval()
        coarse, found, count = 0.0, 0.0, 0.0
        with torch.inference_mode():
            for _ in range(max(1, self._recipe.check // 3)):
                rgb, mask, band, alpha, taught = batches.draw()
                answer = self.network(rgb, mask, band)
                coarse += float(((mask - alpha).abs() * taught).sum())
                found += float(((answer - alpha).abs() * taught).sum())
                count += float(taught.sum())
        self.network.train()
        return {"check_mask": 1000 * coarse / max(count, 1), "check": 1000 * found / max(count, 1)}

    def save(self) -> None:
        """Write the file, whole or not at all."""
        import torch

        from sama_core.model.refiner import fold
        from sama_core.weights.files import save_weights

        training = {
            "steps": self.steps,
            "batch": self._recipe.batch,
            "crop": self._recipe.crop,
            "tiles": self._tiles.added,
            "seconds": round(time.monotonic() - self._began, 1),
            "device": str(self._device),
            "seed": self._recipe.seed,
        }
        state = fold(self.network).state_dict()
        if not all(torch.isfinite(value.half()).all() for value in state.values()):
            self._say(step=self.steps, not_saved="weights are not finite")
            return
        save_weights(state, self._out, {"format": "1", "training": json.dumps(training)})

    def finish(self) -> None:
        """Save, check and say so."""
        self.save()
        self._say(step=self.steps, done=True, **self.check())

    def _wait_for_tiles(self) -> None:
        wanted = min(_FIRST_TILES, self._recipe.pool)
        began = time.monotonic()
        while self._tiles.filled < wanted:
            self._receive(64)
            if self._tiles.filled and time.monotonic() > began + _PATIENCE:
                break
            if time.monotonic() > self._end:
                raise RuntimeError(f"time is up with {self._tiles.filled} tiles: nothing was trained")
            if not self._workers.alive() and not self._tiles.filled:
                raise RuntimeError("all workers have ended without a tile")
            if not self._workers.alive():
                break
            time.sleep(0.02)
        self._say(waited=True, tiles=self._tiles.added)

    def _receive(self, most: int) -> None:
        for _ in range(most):
            received = self._workers.receive()
            if received is None:
                return
            tiles, grounds, for_check = received
            (self._held_tiles if for_check else self._tiles).add(tiles)
            (self._held_grounds if for_check else self._grounds).add(grounds)

    def _say(self, **what: Any) -> None:
        line = {"s": round(time.monotonic() - self._began, 1)}
        line |= {name: round(value, 6) if isinstance(value, float) else value for name, value in what.items()}
        text = json.dumps(line)
        print(text, flush=True)
        with self._log.open("a") as file:
            file.write(text + "\n")


def losses(network: Refiner, examples: Examples, device: torch.device) -> dict[str, torch.Tensor]:
    """The loss in the band by its terms: L1, Laplacian pyramid, and the gradient's at a quarter."""
    import torch

    from sama_core.training.sama_losses import gradient_loss, l1_loss, laplacian_loss

    rgb, mask, band, alpha, taught = examples
    rgb = rgb.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        answer = network(rgb, mask, band)
    # what the band got wrong is not the network's to mend
    error = (answer - alpha) * taught
    nothing = torch.zeros_like(error)
    return {
        "l1": l1_loss(error, nothing, taught),
        "laplacian": laplacian_loss(error, nothing, taught),
        "gradient": 0.25 * gradient_loss(error, nothing, taught),
    }


def _end_with_parent() -> None:
    """See to it that this process does not outlive the one that started it (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _process_start() -> float:
    """When this process started, as `time.monotonic` has it."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        if 0 <= age < 600:
            return time.monotonic() - age
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    return time.monotonic()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sama_core.training.refiner_cli", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv and the sets")
    parser.add_argument("--out", type=Path, required=True, help="weight file to write, .safetensors")
    parser.add_argument("--seconds", type=float, required=True, help="wall-clock time of the whole run")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--crop", type=int, default=Recipe.crop, help="multiple of 32, at most 320")
    parser.add_argument("--pool", type=int, default=Recipe.pool, help="tiles kept on the device")
    parser.add_argument("--grounds", type=int, default=Recipe.grounds, help="backgrounds kept on the device")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    given = parser.parse_args(arguments)
    began = _process_start()
    recipe = Recipe(
        given.seconds,
        given.workers,
        given.batch,
        given.crop,
        given.pool,
        given.grounds,
        learning_rate=given.learning_rate,
        seed=given.seed,
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    entries = find_entries(given.data, "train")
    held = entries[::_HELD_OUT]
    rest = [entry for number, entry in enumerate(entries) if number % _HELD_OUT] or entries
    cv2.setNumThreads(1)
    # so that the workers are stopped also when the run is
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # before torch is imported, let alone a device touched: the workers are forks
    workers = Workers(rest, held, recipe.workers, recipe.check, recipe.seed)
    try:
        import torch

        if given.device == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        run = Run(recipe, workers, given.out, torch.device(given.device), began)
        run.train()
        run.finish()
    finally:
        workers.stop()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
