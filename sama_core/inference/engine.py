"""The engine: encode an image once, answer many prompts (the set-image / predict seam of segment-anything)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch

from sama_core import paths
from sama_core.errors import DeviceError, InvalidImage
from sama_core.image_id import image_id as name_of
from sama_core.images import PREPROCESSING_VERSION, Frame
from sama_core.inference import device as devices
from sama_core.inference import numba_cache
from sama_core.inference.answer import Answer, Progress, no_progress
from sama_core.inference.embedding_cache import EmbeddingCache, to_cpu
from sama_core.inference.matting import matte_alpha
from sama_core.inference.matting_start import GridStart, correct, start_from
from sama_core.inference.predictor import OVERVIEW, Predictor, PromptTensors, StockAnswer
from sama_core.inference.refining import network_solver, refined_alpha
from sama_core.inference.upsampling import head_matte, select_alpha
from sama_core.matte_methods import DEFAULT, MatteMethod
from sama_core.model.backbones.base import Features
from sama_core.model.refiner import Refiner
from sama_core.model.sama import Task
from sama_core.model.views import QUADRANTS
from sama_core.prompts import Prompt
from sama_core.weights.refiner import load_refiner

__all__ = ["Answer", "Engine"]


T = TypeVar("T")
#: The bundled model, whose matting head serves models that have none.
STAND_IN = "lite"


class _Current:
    """The image that prompts are about."""

    def __init__(self, rgb: np.ndarray, name: str, frame: Frame, fine_frame: Frame) -> None:
        self.rgb, self.name, self.frame, self.fine_frame = rgb, name, frame, fine_frame
        self.views: dict[int, Features] = {}
        self.fine: np.ndarray | None = None


class _Prediction(NamedTuple):
    """A network's answer: R×R float32 logits, the frame they lie in, whether a head of SAMA gave them, and stock SAM's
    answer before it."""

    logits: np.ndarray
    frame: Frame
    from_head: bool
    stock: StockAnswer


class Engine:
    """Answers prompts on one image at a time.

    Args:
        model: a name of `registry.MODELS`.
        device: auto, cpu, cuda or mps.
        cache: where embeddings are kept; None makes one in the product's cache folder.
        weights: a weight file to use instead of the model's own.
        adapter: a SAMA adapter file to use instead of the model's own.
        local_views: "reached" encodes the quadrants that the object reaches, "all" encodes all four.

    Raises:
        UnknownModel, WeightsError, DeviceError.
    """

    def __init__(
        self,
        model: str = "lite",
        device: str = "auto",
        cache: EmbeddingCache | None = None,
        weights: Path | None = None,
        adapter: Path | None = None,
        local_views: Literal["reached", "all"] = "reached",
    ) -> None:
        self._device = devices.choose(device)
        self.model_name = model
        self._predictor = Predictor(model, weights, adapter)
        self._predictor.to(self._device)
        self._local_views = local_views
        self._cache = EmbeddingCache(paths.cache_dir() / "embeddings") if cache is None else cache
        self._current: _Current | None = None
        self._notes: list[str] = []
        self._encode_seconds = 0.0
        self._used = self._device
        self._matting_stand_in: Engine | None = None
        self._refiner: Refiner | None = None
        #: how many images the network has encoded; cache hits do not count
        self.encodes = 0

    @property
    def frame(self) -> Frame:
        """How the image lies under stock SAM's logits.

        Raises:
            InvalidImage: no image was set.
        """
        return self._require_image().frame

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
        if self._current is None or name != self._current.name:
            began = time.perf_counter()
            size = rgb.shape[:2]
            current = _Current(rgb, name, self._predictor.frame(*size), self._predictor.fine_frame(*size))
            self._look(current, [OVERVIEW], lambda: progress(0.0, "Looking at the picture"))
            self._current = current
            self._encode_seconds = time.perf_counter() - began
        return name

    def select(self, prompt: Prompt, progress: Progress = no_progress) -> Answer:
        """Answer a prompt with a selection: alpha is soft only along the object's edge.

        The segmentation head answers; without SAMA modules stock SAM does, with a note.

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, DeviceError, Cancelled.
        """
        current = self._require_image()
        prediction, answer = self._predict(current, prompt, "segmentation", progress)
        began = time.perf_counter()
        answer.alpha = select_alpha(
            prediction.frame, prediction.logits, current.rgb, lambda done, text: progress(0.4 + 0.6 * done, text)
        )
        answer.seconds["refine"] = time.perf_counter() - began
        return answer

    def matte(
        self,
        prompt: Prompt,
        decontaminate: bool = False,
        progress: Progress = no_progress,
        method: MatteMethod = DEFAULT,
    ) -> Answer:
        """Answer a prompt with a matte.

        Args:
            decontaminate: also estimate foreground colours (`Answer.foreground`).
            method: "refiner" and "closed-form" find alpha in a band around the edge that the segmentation head finds
                (stock SAM's without SAMA modules, with a note): by the learned refiner and closed-form matting after
                it, or by closed-form matting alone. "head" asks SAMA's matting head (a model without SAMA modules hands
                its mask to that of `lite`, with a note).

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, WeightsError, DeviceError, Cancelled.
        """
        current = self._require_image()
        corrects = method == "head" and self._matting_expert()._predictor.corrects
        task: Task | None = "matting" if method == "head" and not corrects else "segmentation"
        if corrects and self._predictor.sama is None:
            task = None  # what is said of the model is said when its mask is handed on
        prediction, answer = self._predict(current, prompt, task, progress)
        began = time.perf_counter()
        progress(0.3, "Preparing the matte")
        end = 0.7 if decontaminate else 1.0
        part: Progress = lambda done, text: progress(0.3 + (end - 0.3) * done, text)  # noqa: E731
        if corrects:
            answer.alpha = self._corrected(current, prompt, prediction, part)
            answer.notes = list(dict.fromkeys(self._notes))
        elif task == "matting" and prediction.from_head:
            answer.alpha = head_matte(prediction.frame, prediction.logits, current.rgb, part)
        elif method == "refiner":
            answer.alpha = self._refined(current, prediction, part)
            answer.notes = list(dict.fromkeys(self._notes))
        else:
            numba_cache.prepare()
            answer.alpha = matte_alpha(prediction.frame, prediction.logits, current.rgb, part)
        answer.seconds["refine"] = time.perf_counter() - began
        if decontaminate:
            began = time.perf_counter()
            numba_cache.prepare()
            from sama_core.inference.foreground import decontaminate as clean_colours

            answer.foreground = clean_colours(
                current.rgb, answer.alpha, lambda done, text: progress(0.7 + 0.3 * done, text)
            )
            answer.seconds["foreground"] = time.perf_counter() - began
        return answer

    def predict_logits(self, prompt: Prompt, task: Task | None = None) -> tuple[np.ndarray, float]:
        """A network's answer before it meets the photo's resolution (for evaluation).

        Args:
            task: whose head answers, R×R float32 logits; None is stock SAM, 256×256.

        Returns:
            The logits and stock SAM's estimate of its IoU.
        """
        current = self._require_image()
        if task == "matting" and self._predictor.corrects:
            prediction, answer = self._predict(current, prompt, "segmentation", no_progress)
            *_, prediction = self._ask_corrector(current, prompt, prediction, no_progress)
        else:
            prediction, answer = self._predict(current, prompt, task, no_progress)
        return prediction.logits, answer.score

    def _require_image(self) -> _Current:
        if self._current is None:
            raise InvalidImage("No picture has been given yet. Call set_image first.")
        return self._current

    def _look(self, current: _Current, views: list[int], announce: Callable[[], None]) -> None:
        """Make sure that these views of the image are encoded, from the caches where they are there."""
        predictor = self._predictor
        keys = {
            view: self._cache.key(
                current.name, self.model_name, predictor.weights_hash, PREPROCESSING_VERSION, view, predictor.fine_views
            )
            for view in views
            if view not in current.views
        }
        missing = []
        for view, key in keys.items():
            kept = self._cache.get(key)
            if kept is None:
                missing.append(view)
            else:
                current.views[view] = kept
        if not missing:
            return
        announce()
        fine = self._fine(current)
        for group in [missing] if self._used.type != "cpu" else [[view] for view in missing]:
            encoded = self._compute(lambda device, group=group: predictor.encode(current.rgb, fine, group, device))
            for view, features in encoded.items():
                current.views[view] = to_cpu(features)
                self._cache.put(keys[view], current.views[view])
        self.encodes += OVERVIEW in missing

    def _fine(self, current: _Current) -> np.ndarray:
        if current.fine is None:
            current.fine = self._predictor.fine_picture(current.rgb)
        return current.fine

    def _predict(
        self, current: _Current, prompt: Prompt, task: Task | None, progress: Progress
    ) -> tuple[_Prediction, Answer]:
        predictor = self._predictor
        prompt = prompt.validated(current.frame.height, current.frame.width)
        tensors = PromptTensors(prompt, current.frame)
        began = time.perf_counter()
        progress(0.2, "Finding the object")
        stock = self._compute(lambda device: predictor.stock(current.views[OVERVIEW], tensors, device))
        if task is None:
            prediction = _Prediction(stock.logits, current.frame, False, stock)
        elif predictor.sama is not None:
            prediction = self._ask_head(current, tensors, stock, task, progress)
        elif task == "matting":
            prediction = self._borrow_matting_head(current, prompt, stock, progress)
        else:
            self._notes.append(f"The model {self.model_name} has no SAMA adapter yet: this is stock SAM's mask.")
            prediction = _Prediction(stock.logits, current.frame, False, stock)
        if not self._finds_something(prediction):
            self._notes.append(
                "The model found nothing there. Click in the middle of the thing you want, or draw a box around it."
            )
        return prediction, Answer(
            alpha=np.empty((0, 0), np.uint8),
            score=stock.score,
            low_res_logits=stock.logits,
            notes=list(dict.fromkeys(self._notes)),
            seconds={"encode": self._encode_seconds, "decode": time.perf_counter() - began},
            device=self.device,
        )

    @staticmethod
    def _finds_something(prediction: _Prediction) -> bool:
        frame, logits = prediction.frame, prediction.logits
        rows, columns = (
            max(1, round(side * len(logits) / frame.size)) for side in (frame.input_height, frame.input_width)
        )
        return bool((logits[:rows, :columns] > 0).any())

    def _ask_head(
        self,
        current: _Current,
        prompt: PromptTensors,
        stock: StockAnswer,
        task: Task,
        progress: Progress,
        start: GridStart | None = None,
    ) -> _Prediction:
        predictor = self._predictor
        reached = list(range(QUADRANTS)) if self._local_views == "all" else predictor.quadrants(stock.logits)
        began = time.perf_counter()
        self._look(current, reached, lambda: progress(0.25, "Looking closer"))
        self._encode_seconds += time.perf_counter() - began
        fine = self._fine(current)
        views = {view: current.views[view] for view in [OVERVIEW, *reached]}
        logits = self._compute(lambda device: predictor.answer(task, views, fine, prompt, stock, device, start))
        return _Prediction(logits, self._heads_frame(current), True, stock)

    def _heads_frame(self, current: _Current) -> Frame:
        return current.fine_frame if self._predictor.fine_views else current.frame

    def _matting_expert(self) -> Engine:
        """The engine whose matting head answers: the bundled model's when this one has none."""
        if self._predictor.sama is not None:
            return self
        if self._matting_stand_in is None:
            self._matting_stand_in = Engine(STAND_IN, self._device.type, self._cache)
        return self._matting_stand_in

    def _refined(self, current: _Current, prediction: _Prediction, progress: Progress) -> np.ndarray:
        """The learned refiner around a mask: H×W uint8."""
        numba_cache.prepare()
        if self._refiner is None:
            self._refiner = load_refiner()
        refiner = self._refiner

        def refine(device: torch.device) -> np.ndarray:
            solver = network_solver(refiner.to(device), device)
            return refined_alpha(prediction.frame, prediction.logits, current.rgb, solver, progress)

        return self._compute(refine)

    def _corrected(self, current: _Current, prompt: Prompt, prediction: _Prediction, progress: Progress) -> np.ndarray:
        """Closed-form matting around a mask, corrected by the matting head: H×W uint8."""
        alpha, start, answer = self._ask_corrector(current, prompt, prediction, progress)
        return correct(alpha, answer.frame, start, answer.logits)

    def _ask_corrector(
        self, current: _Current, prompt: Prompt, prediction: _Prediction, progress: Progress
    ) -> tuple[np.ndarray, GridStart, _Prediction]:
        """The matte that a matting head was given, as a picture (H×W uint8) and as its start, and its answer."""
        numba_cache.prepare()
        expert = self._matting_expert()
        stock = prediction.stock if expert is self else self._handed_on(prediction.stock)
        theirs = expert._image_of(current)
        under, grid = expert._heads_frame(theirs), expert._predictor.grid
        alpha, start = start_from(
            prediction.frame, prediction.logits, current.rgb, under, grid, lambda done, text: progress(0.9 * done, text)
        )
        tensors = PromptTensors(prompt.validated(current.frame.height, current.frame.width), theirs.frame)
        answer = expert._ask_head(theirs, tensors, stock, "matting", lambda _, text: progress(0.9, text), start)
        return alpha, start, answer

    def _handed_on(self, stock: StockAnswer) -> StockAnswer:
        """Stock SAM's mask as a mask prompt for the bundled model's matting head."""
        self._notes.append(
            f"The model {self.model_name} has no SAMA adapter yet: its mask was matted by {STAND_IN}'s matting head."
        )
        return StockAnswer(stock.logits, stock.score, stock.logits)

    def _image_of(self, current: _Current) -> _Current:
        """An image that another engine has as the one that this engine's prompts are about."""
        if self._current is not current:
            self.set_image(current.rgb, image_id=current.name)
        return self._require_image()

    def _borrow_matting_head(
        self, current: _Current, prompt: Prompt, stock: StockAnswer, progress: Progress
    ) -> _Prediction:
        helper = self._matting_expert()
        if helper._predictor.sama is None:
            self._notes.append(f"There is no matting head for {self.model_name}: the edge is closed-form matting's.")
            return _Prediction(stock.logits, current.frame, False, stock)
        theirs = helper._image_of(current)
        tensors = PromptTensors(prompt, theirs.frame)
        return helper._ask_head(theirs, tensors, self._handed_on(stock), "matting", progress)

    def _compute(self, work: Callable[[torch.device], T]) -> T:
        """Run `work` on the device; when its memory runs out, smaller, then on the CPU, with a note."""
        for attempt in devices.attempts(self._device):
            try:
                self._predictor.to(attempt.device)
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
