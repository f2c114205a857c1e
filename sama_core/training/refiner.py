"""The alpha refiner (`model.refiner`) as a task of the trainer: drawn tiles by a loader, composited on the device.

The loader draws foregrounds with exact alphas (`refiner_tiles`) for as long as the run lasts; the newest stay in pools
on the device, from which `refiner_batches` composites each step's examples. What is in the pools at a step depends on
the seed and the step alone, so a resumed run draws the newest of them again and goes on as if it had not been cut.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sama_core.data.sets import Entry
from sama_core.errors import WeightsError
from sama_core.model.refiner import Refiner as Network
from sama_core.model.refiner import fold
from sama_core.training.config import RefinerConfig
from sama_core.training.refiner_batches import Batches, Examples, Pool
from sama_core.training.refiner_tiles import Drawing, TileSource
from sama_core.training.sama_losses import gradient_loss, l1_loss, laplacian_loss
from sama_core.training.trainer import Outcome, Score, Task, allow_fast_kernels, half_precision, load_batches
from sama_core.weights.files import save_weights

#: One photo in so many is kept for the check.
_HELD_OUT = 50
#: Examples in a batch of the check.
_CHECKED = 16
#: Photos that fail to be drawn on, one after the other, before a run ends.
_TRIES = 5


class Drawings(Dataset):
    """Tiles and backgrounds by number; the i-th depends on (seed, i) alone."""

    def __init__(self, entries: list[Entry], seed: int) -> None:
        self._source, self._seed = TileSource(entries), seed

    def __getitem__(self, number: int) -> Drawing:
        for attempt in range(_TRIES):
            try:
                return self._source.make(np.random.default_rng((self._seed, number, attempt)))
            except Exception:  # one bad photo must not end a run
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError


class Refiner(Task):
    """The refiner, its tiles and its losses.

    Args:
        entries: photos with masks; one in fifty of them is for the check alone.
        config: the recipe.
        device: where to train.
    """

    def __init__(self, entries: list[Entry], config: RefinerConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        allow_fast_kernels(device)
        torch.manual_seed(config.seed)
        self.model: Network = Network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rest = [entry for number, entry in enumerate(entries) if number % _HELD_OUT] or entries
        self._drawings = Drawings(rest, config.seed)
        self._held_out = Drawings(entries[::_HELD_OUT], config.seed)
        self._pool = Pool(config.pool, device)
        self._batches = Batches(self._pool, config.batch, config.crop, config.seed, device)
        self._checked: Batches | None = None

    def batches(self, first: int) -> Iterator[list[Drawing]]:
        """What is new at each step; the pools are filled before the first."""
        config = self.config
        end = config.first_drawings + first * config.fresh
        begin = max(0, end - config.pool)
        # a few at a time, so that no batch outgrows a worker's memory
        filling = [list(range(at, min(at + config.fresh, end))) for at in range(begin, end, config.fresh)]
        following = (list(range(at, at + config.fresh)) for at in itertools.count(end, config.fresh))
        loader = iter(load_batches(self._drawings, itertools.chain(filling, following), config.workers))
        self._pool.begin(begin)
        for _ in filling:
            self._pool.add(next(loader))
        yield from loader

    def gradients(self, batch: list[Drawing], step: int) -> Outcome:
        """Learn from composites of what is in the pools."""
        self._pool.add(batch)
        self.model.train()
        terms = losses(self.model, self._batches.draw(step), self.device)
        torch.stack(list(terms.values())).sum().backward()
        return Outcome({name: round(value.item(), 6) for name, value in terms.items()})

    def measure(self, averaged: dict[str, torch.Tensor]) -> Score | None:
        """Mean |α̂ − α| in the band on the held-out tiles, of the coarse mask and of the answer, in thousandths."""
        if not self.config.check:
            return None
        if self._checked is None:
            pool = Pool(self.config.check, self.device)
            pool.add([self._held_out[number] for number in range(self.config.check)])
            self._checked = Batches(pool, _CHECKED, self.config.crop, 1, self.device)
        network = Network().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.load_state_dict(averaged)
        network.eval()
        coarse, found, count = 0.0, 0.0, 0.0
        with torch.inference_mode():
            for number in range(max(1, self.config.check // 3)):
                rgb, mask, band, alpha, taught = self._checked.draw(number)
                answer = network(rgb, mask, band)
                coarse += float(((mask - alpha).abs() * taught).sum())
                found += float(((answer - alpha).abs() * taught).sum())
                count += float(taught.sum())
        errors = {name: 1000 * error / max(count, 1) for name, error in (("check_mask", coarse), ("check", found))}
        return Score(-errors["check"], errors)

    def export(self, averaged: dict[str, torch.Tensor], path: Path, step: int) -> None:
        """Write the network with its normalisation folded in.

        Raises:
            WeightsError: weights are not finite, or too large for half precision.
        """
        network = Network()
        network.load_state_dict(averaged)
        state = fold(network).state_dict()
        if not all(torch.isfinite(value.half()).all() for value in state.values()):
            raise WeightsError("The weights have grown beyond half precision. Train at a lower learning rate.")
        config = self.config
        training: dict[str, Any] = {"steps": step, "batch": config.batch, "crop": config.crop, "seed": config.seed}
        training |= {"drawings": config.first_drawings + step * config.fresh, "device": str(self.device)}
        save_weights(state, path, {"format": "1", "training": json.dumps(training)})


def losses(network: Network, examples: Examples, device: torch.device) -> dict[str, torch.Tensor]:
    """The loss in the band by its terms: L1, Laplacian pyramid, and the gradient's at a quarter."""
    rgb, mask, band, alpha, taught = examples
    rgb = rgb.contiguous(memory_format=torch.channels_last)
    with half_precision(device):
        answer = network(rgb, mask, band)
    # what the band got wrong is not the network's to mend
    error = (answer - alpha) * taught
    nothing = torch.zeros_like(error)
    return {
        "l1": l1_loss(error, nothing, taught),
        "laplacian": laplacian_loss(error, nothing, taught),
        "gradient": 0.25 * gradient_loss(error, nothing, taught),
    }
