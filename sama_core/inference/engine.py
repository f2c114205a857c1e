"""The engine: encode an image once, answer many prompts (the set-image / predict seam of segment-anything)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from sama_core import paths
from sama_core.errors import DeviceError, InvalidImage
from sama_core.image_id import image_id as name_of
from sama_core.images import LOW_RES, PREPROCESSING_VERSION, Frame
from sama_core.inference import device as devices
from sama_core.inference import numba_cache
from sama_core.inference.answer import Answer, Progress, no_progress
from sama_core.inference.embedding_cache import EmbeddingCache, to_cpu
from sama_core.inference.upsampling import select_alpha
from sama_core.model import registry
from sama_core.model.backbones.base import Features
from sama_core.model.labels import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PAD
from sama_core.prompts import REGION_LOGIT, Prompt

__all__ = ["Answer", "Engine"]


T = TypeVar("T")


class _Current(NamedTuple):
    rgb: np.ndarray
    frame: Frame
    features: Features


class Engine:
    """Answers prompts on one image at a time.

    Args:
        model: a name of `registry.MODELS`.
        device: auto, cpu, cuda or mps.
        cache: where embeddings are kept; None makes one in the product's cache folder.
        weights: a weight file to use instead of the model's own.

    Raises:
        UnknownModel, WeightsError, DeviceError.
    """

    def __init__(
        self,
        model: str = "lite",
        device: str = "auto",
        cache: EmbeddingCache | None = None,
        weights: Path | None = None,
    ) -> None:
        self._device = devices.choose(device)
        self.model_name = model
        self._network, self._weights_hash = registry.load(model, weights)
        self._network.eval().requires_grad_(False)
        self._network.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._cache = EmbeddingCache(paths.cache_dir() / "embeddings") if cache is None else cache
        self._current: _Current | None = None
        self._current_id = ""
        self._notes: list[str] = []
        self._encode_seconds = 0.0
        self._used = self._device
        #: how many images the network has encoded; cache hits do not count
        self.encodes = 0

    @property
    def device(self) -> str:
        """The device that computed last: cpu, cuda or mps."""
        return self._used.type

    def set_image(self, rgb: np.ndarray, progress: Progress = no_progress, image_id: str | None = None) -> str:
        """Make an image the one that prompts are about; encodes it unless its embedding is at hand.

        Args:
            rgb: H×W×3 uint8 sRGB; kept by reference, do not change it afterwards.
            image_id: the image's name if the caller has computed it (`image_id.image_id`).

        Returns:
            The image's name.

        Raises:
            InvalidImage: wrong shape or type.
            DeviceError: no device has the memory for it.
        """
        if (
            not isinstance(rgb, np.ndarray)
            or rgb.dtype != np.uint8
            or rgb.ndim != 3
            or rgb.shape[2] != 3
            or not rgb.size
        ):
            raise InvalidImage("The picture must be H×W×3 values of 8 bits. Convert it to RGB first.")
        name = image_id or name_of(rgb)
        self._notes, self._encode_seconds = [], 0.0
        if self._current is not None and name == self._current_id:
            return name
        began = time.perf_counter()
        frame = Frame(rgb.shape[0], rgb.shape[1], self._network.input_size)
        key = self._cache.key(name, self.model_name, self._weights_hash, PREPROCESSING_VERSION)
        features = self._cache.get(key)
        if features is None:
            progress(0.0, "Looking at the picture")
            small = torch.from_numpy(frame.shrink(rgb).astype(np.float32)).permute(2, 0, 1).unsqueeze(0)
            features = to_cpu(self._compute(lambda device: self._encode(small.to(device))))
            self.encodes += 1
            self._cache.put(key, features)
        self._current, self._current_id = _Current(rgb, frame, features), name
        self._encode_seconds = time.perf_counter() - began
        return name

    def select(self, prompt: Prompt, progress: Progress = no_progress) -> Answer:
        """Answer a prompt with a selection: alpha is soft only along the object's edge.

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, DeviceError, Cancelled.
        """
        current = self._require_image()
        answer = self._predict(current, prompt, progress)
        began = time.perf_counter()
        answer.alpha = select_alpha(
            current.frame,
            answer.low_res_logits,
            current.rgb,
            lambda done, text: progress(0.4 + 0.6 * done, text),
        )
        answer.seconds["refine"] = time.perf_counter() - began
        return answer

    def matte(self, prompt: Prompt, decontaminate: bool = False, progress: Progress = no_progress) -> Answer:
        """Answer a prompt with a matte: closed-form matting in a band around the mask's edge.

        Args:
            decontaminate: also estimate foreground colours (`Answer.foreground`).

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, DeviceError, Cancelled.
        """
        current = self._require_image()
        answer = self._predict(current, prompt, progress)
        began = time.perf_counter()
        progress(0.3, "Preparing the matte")
        numba_cache.prepare()
        from sama_core.inference.foreground import decontaminate as clean_colours
        from sama_core.inference.matting import matte_alpha

        end = 0.7 if decontaminate else 1.0
        answer.alpha = matte_alpha(
            current.frame,
            answer.low_res_logits,
            current.rgb,
            lambda done, text: progress(0.3 + (end - 0.3) * done, text),
        )
        answer.seconds["refine"] = time.perf_counter() - began
        if decontaminate:
            began = time.perf_counter()
            answer.foreground = clean_colours(
                current.rgb, answer.alpha, lambda done, text: progress(0.7 + 0.3 * done, text)
            )
            answer.seconds["foreground"] = time.perf_counter() - began
        return answer

    def predict_logits(self, prompt: Prompt) -> tuple[np.ndarray, float]:
        """Low-resolution answer alone: 256×256 float32 logits and the estimated IoU (for evaluation)."""
        current = self._require_image()
        answer = self._predict(current, prompt, no_progress)
        return answer.low_res_logits, answer.score

    def _require_image(self) -> _Current:
        if self._current is None:
            raise InvalidImage("No picture has been given yet. Call set_image first.")
        return self._current

    def _encode(self, small: torch.Tensor) -> Features:
        x = self._network.normalise(small).contiguous(memory_format=torch.channels_last)
        return self._network.encode(x)

    def _predict(self, current: _Current, prompt: Prompt, progress: Progress) -> Answer:
        frame = current.frame
        prompt = prompt.validated(frame.height, frame.width)
        began = time.perf_counter()
        progress(0.2, "Finding the object")
        logits, score = self._compute(lambda device: self._decode(current, prompt, device))
        if not (logits[: self._rows(frame), : self._columns(frame)] > 0).any():
            self._notes.append(
                "The model found nothing there. Click in the middle of the thing you want, or draw a box around it."
            )
        return Answer(
            alpha=np.empty((0, 0), np.uint8),
            score=score,
            low_res_logits=logits,
            notes=list(dict.fromkeys(self._notes)),
            seconds={"encode": self._encode_seconds, "decode": time.perf_counter() - began},
            device=self.device,
        )

    @staticmethod
    def _rows(frame: Frame) -> int:
        return max(1, round(frame.input_height * LOW_RES / frame.size))

    @staticmethod
    def _columns(frame: Frame) -> int:
        return max(1, round(frame.input_width * LOW_RES / frame.size))

    def _decode(self, current: _Current, prompt: Prompt, device: torch.device) -> tuple[np.ndarray, float]:
        frame = current.frame
        embedding = current.features.embedding.to(device)
        sparse_points = frame.to_input(np.asarray(prompt.points)).reshape(-1, 2)
        labels = np.asarray(prompt.labels)
        box = None if prompt.box is None else frame.to_input(np.asarray(prompt.box).reshape(2, 2))
        logits = prompt.low_res_logits
        if logits is None and prompt.mask is not None:
            logits = (frame.mask_to_low_res(prompt.mask) * 2 - 1) * REGION_LOGIT
        # A user's clicks came one after the other, each correcting the answer before; the model was trained on such
        # dialogues, so they are replayed. Decoding is cheap.
        first = 1 if box is None and logits is None else 0
        counts = range(min(first, len(labels)), len(labels) + 1) if prompt.low_res_logits is None else [len(labels)]
        score = 0.0
        for count in counts:
            logits, score = self._decode_once(embedding, sparse_points[:count], labels[:count], box, logits, device)
        assert isinstance(logits, np.ndarray)
        return logits, score

    def _decode_once(
        self,
        embedding: torch.Tensor,
        points: np.ndarray,
        labels: np.ndarray,
        box: np.ndarray | None,
        logits: np.ndarray | None,
        device: torch.device,
    ) -> tuple[np.ndarray, float]:
        corners = np.zeros((1, 2), np.float32) if box is None else box
        corner_labels = [PAD] if box is None else [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
        mask = np.zeros((LOW_RES, LOW_RES), np.float32) if logits is None else logits
        prompt = self._network.embed_prompts(
            torch.from_numpy(np.concatenate([points, corners])[None]).to(device),
            torch.from_numpy(np.concatenate([labels, corner_labels])[None].astype(np.int64)).to(device),
            torch.from_numpy(np.asarray(mask, np.float32)[None, None]).to(device),
            torch.tensor([logits is not None], device=device),
        )
        decoded = self._network.decode(embedding, *prompt)
        return decoded.logits[0, 0].float().cpu().numpy(), float(decoded.iou[0, 0].float().clamp(0, 1))

    def _compute(self, work: Callable[[torch.device], T]) -> T:
        """Run `work` on the device; when its memory runs out, smaller, then on the CPU, with a note."""
        for attempt in devices.attempts(self._device):
            try:
                self._network.to(attempt.device)
                with torch.inference_mode(), self._precision(attempt):
                    result = work(attempt.device)
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error):
                    raise
                devices.release_memory(attempt.device)
                continue
            self._used = attempt.device
            if attempt.note:
                self._notes.append(attempt.note)
            return result
        raise DeviceError(
            "There is not enough memory for this picture. Close other programs or make the picture smaller."
        )

    @staticmethod
    def _precision(attempt: devices.Attempt) -> contextlib.AbstractContextManager:
        if attempt.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(attempt.device.type, attempt.autocast)
