"""A network on pictures and prompts as they are: from pixels to features, from a prompt to logits."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sama_core.images import LOW_RES, Frame, pixels_under
from sama_core.model.backbones.base import Features
from sama_core.model.sama import Sama, Seen, Task, assemble, for_use
from sama_core.model.views import QUADRANTS, enlarge_input
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PAD, REGION_LOGIT, Prompt
from sama_core.weights import registry
from sama_core.weights.adapter import load_adapter

#: The views of a picture by number: the global one, then the local ones in the order of `model.views`.
OVERVIEW = -1
#: A local view matters from this stock logit on, within this many cells of the decoder's grid around its quadrant.
_REACH_LOGIT, _REACH_MARGIN = -2.0, 8
#: The window that a head looks at reaches so many of these cells further, and its borders lie on multiples of so many
#: cells of the feature grid.
_WINDOW_MARGIN, _WINDOW_STEP = 16, 8
#: In a replayed dialogue so many clicks that contradict the answer before them are answered one by one, as in the
#: dialogues that networks are trained on; then two together, four, and so on.
_ONE_BY_ONE = 8


class PromptTensors:
    """A validated prompt in model-input coordinates, on the CPU.

    Attributes:
        points: N×2 float32, labels: N int64.
        box: 2×2 float32 corners, or None.
        logits: 256×256 float32 mask prompt, or None.
    """

    def __init__(self, prompt: Prompt, frame: Frame) -> None:
        self.points = frame.to_input(np.asarray(prompt.points)).reshape(-1, 2)
        self.labels = np.asarray(prompt.labels, np.int64)
        self.box = None if prompt.box is None else frame.to_input(np.asarray(prompt.box).reshape(2, 2))
        self.logits = prompt.low_res_logits
        if self.logits is None and prompt.mask is not None:
            self.logits = (frame.mask_to_low_res(prompt.mask) * 2 - 1) * REGION_LOGIT
        self.answered = prompt.low_res_logits is not None
        self._cells = pixels_under(self.points * (LOW_RES / frame.size), LOW_RES, LOW_RES)

    def obeyed(self, number: int, logits: np.ndarray) -> bool:
        """Whether 256×256 logits say what click `number`, counted from 1, asks for."""
        column, row = self._cells[number - 1]
        return bool((logits[row, column] > 0) == (self.labels[number - 1] == 1))

    def key(self, count: int) -> bytes:
        """Names the prompt with its first `count` clicks."""
        parts = (self.points[:count], self.labels[:count], self.box, self.logits)
        # an earlier answer is asked about once, a drawn region is the beginning of a dialogue
        digest = hashlib.sha256(b"answered" if self.answered else b"")
        for part in parts:
            digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes() + b"|")
        return digest.digest()

    def first(self, count: int, logits: np.ndarray | None, device: torch.device) -> list[torch.Tensor]:
        """The prompt with its first `count` clicks and a mask prompt, as `PromptableSam.embed_prompts` takes it."""
        corners = np.zeros((1, 2), np.float32) if self.box is None else self.box
        corner_labels = [PAD] if self.box is None else [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
        mask = np.zeros((LOW_RES, LOW_RES), np.float32) if logits is None else logits
        return [
            torch.from_numpy(np.concatenate([self.points[:count], corners])[None]).to(device),
            torch.from_numpy(np.concatenate([self.labels[:count], corner_labels])[None].astype(np.int64)).to(device),
            torch.from_numpy(np.asarray(mask, np.float32)[None, None]).to(device),
            torch.tensor([logits is not None], device=device),
        ]


class StockAnswer(NamedTuple):
    """What stock SAM answers.

    Attributes:
        logits: 256×256 float32.
        score: its own estimate of the answer's IoU, 0..1, times that of there being something at all.
        before: the mask prompt of the last decoding, 256×256 float32, or None.
    """

    logits: np.ndarray
    score: float
    before: np.ndarray | None


class TurnCache:
    """Stock SAM's latest answers about one picture, by `PromptTensors.key`."""

    #: 256 KB each; a dialogue is rarely longer, and a forgotten answer costs a decoding.
    LENGTH = 48

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, StockAnswer] = OrderedDict()

    def get(self, key: bytes) -> StockAnswer | None:
        """The answer, if it is remembered."""
        if key in self._answers:
            # the turns that further clicks are replayed from stay
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def put(self, key: bytes, answer: StockAnswer) -> None:
        """Remember an answer."""
        self._answers[key] = answer
        while len(self._answers) > self.LENGTH:
            self._answers.popitem(last=False)


class Predictor:
    """A SAM with or without SAMA modules.

    Args:
        model: a name of the registry.
        weights: a file to use instead of the model's own.
        adapter: a SAMA adapter file to use instead of the model's own.

    Raises:
        UnknownModel, WeightsError.
    """

    def __init__(self, model: str, weights: Path | None = None, adapter: Path | None = None) -> None:
        about = registry.info(model)
        self.sam, self.weights_hash = registry.load(model, weights)
        self.sam.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sama: Sama | None = None
        self._seen: tuple[tuple, Seen] | None = None
        # a model's own adapter belongs to the model's own weights
        path = adapter or (about.adapter if weights is None and about.adapter.is_file() else None)
        if path is not None:
            modules, _ = load_adapter(path, about.early_channels, model, self.weights_hash)
            self.sama = for_use(Sama(self.sam, modules).eval().requires_grad_(False))
            self.sama.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def to(self, device: torch.device) -> None:
        """Move the network."""
        (self.sam if self.sama is None else self.sama).to(device)

    def frame(self, height: int, width: int) -> Frame:
        """How a picture lies in the model input."""
        return Frame(height, width, self.sam.input_size, self.sam.stretches)

    def shows(self, height: int, width: int) -> Frame:
        """How a picture lies in what local views and heads see: at twice the model's resolution, or at its own."""
        return Frame(height, width, self.sam.input_size * (2 if self.fine_views else 1), self.sam.stretches)

    @property
    def fine_views(self) -> bool:
        """Whether local views show more than the model input does."""
        return self.sama is None or self.sama.config.fine_views

    def encode(
        self, small: np.ndarray, fine: np.ndarray, views: list[int], device: torch.device
    ) -> dict[int, Features]:
        """Encode views of a picture in one batch.

        Args:
            small: h×w×3 uint8, the picture in its `frame`, without padding.
            fine: the picture as it `shows`, without padding.
            views: OVERVIEW, or quadrants 0-3.
        """
        size = self.sam.input_size
        inputs = []
        if OVERVIEW in views:
            inputs.append(self.sam.normalise(self._tensor(small, device)))
        padded = None
        for view in views:
            if view != OVERVIEW:
                padded = self._fine_input(fine, device) if padded is None else padded
                top, left = divmod(view, 2)
                inputs.append(padded[..., top * size : (top + 1) * size, left * size : (left + 1) * size])
        ordered = sorted(views, key=lambda view: view != OVERVIEW)
        batch = torch.cat(inputs).contiguous(memory_format=torch.channels_last)
        features = self.sam.encode(batch)
        encoded = dict(zip(ordered, features.split(len(ordered)), strict=True))
        # only stock SAM's decoder reads finer maps, and it looks at the whole picture
        return {view: each if view == OVERVIEW else each._replace(high_res=()) for view, each in encoded.items()}

    def _fine_input(self, fine: np.ndarray, device: torch.device) -> torch.Tensor:
        if not self.fine_views:
            return enlarge_input(self.sam.normalise(self._tensor(fine, device)))
        pixels = self.sam.standardise(self._tensor(fine, device))
        side = 2 * self.sam.input_size
        return torch.nn.functional.pad(pixels, (0, side - pixels.shape[-1], 0, side - pixels.shape[-2]))

    @staticmethod
    def _tensor(rgb: np.ndarray, device: torch.device) -> torch.Tensor:
        return torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1).unsqueeze(0).to(device)

    def stock(self, overview: Features, prompt: PromptTensors, device: torch.device, kept: TurnCache) -> StockAnswer:
        """Stock SAM's answer.

        A user's clicks came one after the other, each correcting the answer before, so they are replayed. A click that
        the answer before it obeys corrects nothing and is no turn of its own; after the first few turns, one answers
        several contradicting clicks. Every turn is asked with all clicks so far, and the last click ends one: the
        number of decodings grows with the logarithm of the number of clicks.

        Args:
            kept: what was answered about this picture before; the next click costs one decoding, not all of them.
        """
        seen = overview.map(lambda part: part.to(device).float())
        logits, answer = prompt.logits, None
        first = 1 if prompt.box is None and logits is None else 0
        count = len(prompt.labels)
        turns = waiting = 0
        for number in range(min(first, count), count + 1) if not prompt.answered else [count]:
            if answer is not None and number < count:
                waiting += not prompt.obeyed(number, answer.logits)
                if waiting < 1 << max(0, turns - _ONE_BY_ONE + 1):
                    continue
            turns, waiting = turns + 1, 0
            key = prompt.key(number)
            answer = kept.get(key)
            if answer is None:
                sparse, dense = self.sam.embed_prompts(*prompt.first(number, logits, device))
                decoded = self.sam.decode(seen.embedding, sparse, dense, seen.high_res)
                score = float(decoded.iou[0, 0].float().clamp(0, 1) * decoded.presence[0].float())
                answer = StockAnswer(decoded.logits[0, 0].float().cpu().numpy(), score, logits)
                kept.put(key, answer)
            logits = answer.logits
        assert answer is not None
        return answer

    def quadrants(self, logits: np.ndarray) -> list[int]:
        """The quadrants that stock SAM's 256×256 answer reaches, with a margin: the local views worth encoding."""
        near = logits > _REACH_LOGIT
        half, margin = LOW_RES // 2, _REACH_MARGIN
        spans = (slice(0, half + margin), slice(half - margin, LOW_RES))
        return [m for m in range(QUADRANTS) if near[spans[m // 2], spans[m % 2]].any()]

    def look(self, name: str, views: dict[int, Features], fine: np.ndarray, device: torch.device) -> Seen:
        """What the heads need of a picture, which no prompt changes; the last picture's is kept.

        Args:
            name: the picture's.
            views: the overview and the quadrants that were encoded; the others are seen through the overview.
            fine: the picture as it `shows`, without padding.
        """
        sama = self.sama
        assert sama is not None, "callers look whether there are SAMA modules"
        one = torch.ones(1, 1, device=device)
        # what products are computed in: that autocast is on is asked in another way in each version of PyTorch
        key = name, tuple(sorted(views)), device, (one @ one).dtype
        if self._seen is None or self._seen[0] != key:
            self._seen = None
            here = {view: features.map(lambda part: part.to(device).float()) for view, features in views.items()}
            overview = here.pop(OVERVIEW)
            features = assemble(overview, here)
            local = sama.local_tokens(features)
            pixels = self._fine_input(fine, device).contiguous(memory_format=torch.channels_last)
            self._seen = key, sama.seen(features.embedding, local, pixels)
        return self._seen[1]

    def answer(
        self, task: Task, seen: Seen, prompt: PromptTensors, stock: StockAnswer, device: torch.device
    ) -> np.ndarray:
        """A SAMA head's answer: R×R float32 logits.

        Args:
            seen: what `look` gave.
            stock: what stock SAM answered to this prompt; far from all that it finds there is nothing.
        """
        sama = self.sama
        assert sama is not None, "callers look whether there are SAMA modules"
        points, labels, mask, has_mask = prompt.first(len(prompt.labels), stock.before, device)
        sparse, dense = self.sam.embed_prompts(points, labels, mask, has_mask)
        logits = torch.from_numpy(stock.logits)[None, None].to(device)
        decoded = sama.answer(task, seen, sparse, dense, logits, points, labels, window_around(stock.logits))
        return decoded.logits[0, 0].float().cpu().numpy()


def window_around(logits: np.ndarray) -> tuple[slice, slice]:
    """Where a head has to look: what stock SAM's 256×256 answer reaches and a margin, rows and columns of 128×128."""
    near = logits > _REACH_LOGIT
    if not near.any():
        near = np.ones_like(near)
    spans = []
    for axis in (1, 0):
        reached = np.flatnonzero(near.any(axis))
        low, high = int(reached[0]) - _WINDOW_MARGIN, int(reached[-1]) + 1 + _WINDOW_MARGIN
        # few sizes of windows, so that convolutions are set up once
        step = 2 * _WINDOW_STEP
        spans.append(slice(max(0, low // step * step) // 2, min(LOW_RES, -(-high // step) * step) // 2))
    return spans[0], spans[1]
