"""The engine: encode an image once, answer many prompts (the set-image / predict seam of segment-anything)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch

from sama_core import paths
from sama_core.errors import DeviceError, InvalidImage
from sama_core.images import PREPROCESSING_VERSION, Frame
from sama_core.images import image_id as name_of
from sama_core.inference import compile_caches
from sama_core.inference import device as devices
from sama_core.inference.embedding_cache import EmbeddingCache, to_cpu
from sama_core.inference.kept_clicks import keep_clicks
from sama_core.inference.matting import matte_alpha
from sama_core.inference.parts import without_islands
from sama_core.inference.picture import Picture
from sama_core.inference.predictor import OVERVIEW, Predictor, PromptTensors, StockAnswer
from sama_core.inference.refining import network_solver, refined_alpha
from sama_core.inference.request import Answer, Progress, Request, no_progress
from sama_core.inference.second_look import (
    Looks,
    finds_something,
    is_doubted,
    is_meant,
    prompt_alone,
    prompt_within,
)
from sama_core.matte_methods import DEFAULT, MatteMethod
from sama_core.model.refiner import Refiner
from sama_core.model.sama import Task
from sama_core.model.views import QUADRANTS
from sama_core.prompts import REGION_LOGIT, Prompt
from sama_core.weights import registry
from sama_core.weights.files import load_refiner

__all__ = ["Answer", "Engine"]


T = TypeVar("T")
#: The model whose matting head serves models that have none.
STAND_IN = registry.DEFAULT


class _Question(NamedTuple):
    """What a network is asked: a validated prompt in pixels of a picture, the photo or a crop of it."""

    picture: Picture
    prompt: Prompt


class _Prediction(NamedTuple):
    """A network's answer.

    Attributes:
        logits: R×R float32.
        frame: how the picture that was asked about lies under them.
        from_head: whether a head of SAMA gave them.
        asked: the question that was answered: the user's, or that of the second look.
    """

    logits: np.ndarray
    frame: Frame
    from_head: bool
    asked: _Question


class _Found(NamedTuple):
    """What the networks say to a prompt: the answer that is refined, and what goes into `Answer` as it is."""

    prediction: _Prediction
    score: float
    low_res_logits: np.ndarray
    notes: tuple[str, ...]
    device: str | None


class Engine:
    """Answers prompts on one image at a time.

    Args:
        model: a name of `registry.MODELS`.
        device: auto, cpu, cuda or mps.
        cache: where embeddings are kept; None makes one in the product's cache folder.
        weights: a weight file to use instead of the model's own.
        adapter: a SAMA adapter file to use instead of the model's own.
        local_views: "reached" encodes the quadrants that the object reaches, "all" encodes all four.
        second_look: whether a small object is looked at again in crops of the photo (`second_look`).

    Raises:
        UnknownModel, WeightsError, DeviceError.
    """

    def __init__(
        self,
        model: str = registry.DEFAULT,
        device: str = "auto",
        cache: EmbeddingCache | None = None,
        weights: Path | None = None,
        adapter: Path | None = None,
        local_views: Literal["reached", "all"] = "reached",
        second_look: bool = True,
    ) -> None:
        self._device = devices.choose(device)
        self.model_name = model
        self._predictor = Predictor(model, weights, adapter)
        self._predictor.to(self._device)
        self._local_views = local_views
        self._second_look = second_look
        self._cache = EmbeddingCache(paths.cache_dir() / "embeddings") if cache is None else cache
        self._current: Picture | None = None
        #: what no answer has told yet of how the current image was encoded
        self._untold = Request()
        self._used = self._device
        self._matting_stand_in: Engine | None = None
        self._refiner: Refiner | None = None
        #: the latest question and what was found: a matte after a selection by the same clicks asks it again
        self._latest: tuple[tuple, _Found] | None = None
        #: how many images the network has encoded; cache hits and crops do not count
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
        request = Request(progress)
        if self._current is not None and name == self._current.name:
            # it costs nothing now; a fallback that a cancelled answer did not come to tell is still to be told
            request.notes.extend(self._untold.notes)
        else:
            self._open(rgb, name, request)
        self._untold = request
        return name

    def select(self, prompt: Prompt, progress: Progress = no_progress) -> Answer:
        """Answer a prompt with a selection: alpha is soft only along the object's edge.

        The segmentation head answers; without SAMA modules stock SAM does, with a note.

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, DeviceError, Cancelled.
        """
        current = self._require_image()
        prompt = prompt.validated(current.frame.height, current.frame.width)
        request = Request(progress)
        found = self._find(current, prompt, "segmentation", request, self._second_look)
        prediction = found.prediction
        picture = prediction.asked.picture
        with request.step("refine"):
            alpha = picture.upsampler.select(prediction.frame, prediction.logits, request.part(0.4, 1.0))
            alpha = self._finished(alpha, picture, current, prompt, soft=False)
        return self._answer(request, found, alpha)

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
                it, or by closed-form matting alone. "head" is as "refiner" around the edge that SAMA's matting head
                finds (a model without SAMA modules hands its mask to that of `lite`, with a note).

        Raises:
            InvalidImage: no image was set.
            InvalidPrompt, WeightsError, DeviceError, Cancelled.
        """
        current = self._require_image()
        prompt = prompt.validated(current.frame.height, current.frame.width)
        task: Task = "matting" if method == "head" else "segmentation"
        request = Request(progress)
        found = self._find(current, prompt, task, request, self._second_look)
        prediction = found.prediction
        picture = prediction.asked.picture
        with request.step("refine"):
            request.progress(0.3, "Preparing the matte")
            refining = request.part(0.3, 0.7 if decontaminate else 1.0)
            if method == "refiner" or (method == "head" and prediction.from_head):
                alpha = self._refined(prediction, request, refining)
            else:
                compile_caches.prepare_numba()
                alpha = matte_alpha(prediction.frame, prediction.logits, picture.guide, refining)
            alpha = self._finished(picture.evened(alpha), picture, current, prompt, soft=True)
        foreground = None
        if decontaminate:
            with request.step("foreground"):
                compile_caches.prepare_numba()
                from sama_core.inference.foreground import decontaminate as clean_colours

                foreground = clean_colours(current.rgb, alpha, request.part(0.7, 1.0))
        return self._answer(request, found, alpha, foreground)

    def predict_logits(self, prompt: Prompt, task: Task | None = None) -> tuple[np.ndarray, float]:
        """A network's answer before it meets the photo's resolution, without a second look (for evaluation).

        Args:
            task: whose head answers, R×R float32 logits; None is stock SAM, 256×256.

        Returns:
            The logits and stock SAM's estimate of its IoU.
        """
        current = self._require_image()
        prompt = prompt.validated(current.frame.height, current.frame.width)
        found = self._find(current, prompt, task, Request())
        return found.prediction.logits.copy(), found.score

    def _require_image(self) -> Picture:
        if self._current is None:
            raise InvalidImage("No picture has been given yet. Call set_image first.")
        return self._current

    @staticmethod
    def _finished(alpha: np.ndarray, picture: Picture, photo: Picture, prompt: Prompt, soft: bool) -> np.ndarray:
        """An answer about a picture as one about the photo that contradicts no click and holds no island."""
        whole = picture.uncrop(alpha, photo)
        kept = keep_clicks(whole, photo.rgb, np.asarray(prompt.points), np.asarray(prompt.labels))
        return without_islands(kept, prompt, soft)

    def _answer(
        self, request: Request, found: _Found, alpha: np.ndarray, foreground: np.ndarray | None = None
    ) -> Answer:
        """The answer to a request, which also tells what encoding its picture took, if no earlier one did."""
        request.follows(self._untold)
        self._untold = Request()
        return Answer(
            alpha=alpha,
            score=found.score,
            # what the caller does with it is not to change a later answer
            low_res_logits=found.low_res_logits.copy(),
            notes=request.notes,
            foreground=foreground,
            seconds={"encode": 0.0, **request.seconds},
            device=request.device or self.device,
            window=found.prediction.asked.picture.window,
        )

    def _open(self, rgb: np.ndarray, name: str, request: Request) -> Picture:
        """Make a picture the current one, encoded; the one before stays where this fails."""
        picture = Picture(rgb, name, self._predictor)
        self._look(picture, [OVERVIEW], request, 0.0, "Looking at the picture")
        # what was found in the picture before is not to keep it in memory
        self._current, self._latest = picture, None
        return picture

    def _look(self, current: Picture, views: list[int], request: Request, fraction: float, text: str) -> None:
        """Make sure that these views of the image are encoded, from the caches where they are there.

        Args:
            fraction, text: told as progress where the network has to look.
        """
        with request.step("encode"):
            predictor = self._predictor
            keys = {
                view: self._cache.key(
                    current.name,
                    self.model_name,
                    predictor.weights_hash,
                    PREPROCESSING_VERSION,
                    view,
                    predictor.fine_views,
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
            request.progress(fraction, text)
            small, fine = current.small, current.fine
            for group in [missing] if self._used.type != "cpu" else [[view] for view in missing]:
                encoded = self._compute(
                    request, lambda device, group=group: predictor.encode(small, fine, group, device)
                )
                for view, features in encoded.items():
                    current.views[view] = to_cpu(features)
                    self._cache.put(keys[view], current.views[view])
            self.encodes += OVERVIEW in missing and current.window is None

    def _find(
        self, current: Picture, prompt: Prompt, task: Task | None, request: Request, closer: bool = False
    ) -> _Found:
        """What the networks say to a validated prompt; `closer` allows further looks where they are of use."""
        question = current.name, prompt.digest(), task, closer
        with request.step("decode"):
            if self._latest is not None and self._latest[0] == question:
                found = self._latest[1]
                for text in found.notes:
                    request.note(text)
                request.device = found.device
                return found
            request.progress(0.2, "Finding the object")
            asked = _Question(current, prompt)
            stock = self._ask_stock(asked, request)
            low_res = stock.logits
            if closer:
                asked, stock, low_res = self._look_closer(asked, stock, request)
            prediction = self._mask_of(asked, stock, task, request)
        if not finds_something(prediction.logits, prediction.frame):
            request.note(
                "The model found nothing there. Click in the middle of the thing you want, or draw a box around it."
            )
        found = _Found(prediction, stock.score, low_res, tuple(request.notes), request.device)
        self._latest = question, found
        return found

    def _mask_of(self, asked: _Question, stock: StockAnswer, task: Task | None, request: Request) -> _Prediction:
        """The answer of the head for a task, or what stands in for it where there is none, with a note."""
        if task is not None and self._predictor.sama is not None:
            return self._ask_head(asked, stock, task, request)
        if task == "matting":
            return self._borrow_matting_head(asked, stock, request)
        if task is not None:
            request.note(f"The model {self.model_name} has no SAMA adapter yet: this is stock SAM's mask.")
        return _Prediction(stock.logits, asked.picture.frame, False, asked)

    def _ask_stock(self, asked: _Question, request: Request) -> StockAnswer:
        picture = asked.picture
        tensors = PromptTensors(asked.prompt, picture.frame)
        return self._compute(
            request, lambda device: self._predictor.stock(picture.views[OVERVIEW], tensors, device, picture.turns)
        )

    def _look_closer(
        self, asked: _Question, stock: StockAnswer, request: Request
    ) -> tuple[_Question, StockAnswer, np.ndarray]:
        """The same question about crops of the photo, as long as they show more.

        Returns:
            The last question that found something, stock SAM's answer to it, and its 256×256 logits over the photo.
        """
        looked = self._follow(Looks(asked.picture.frame, asked.prompt), asked, stock, request)
        score = looked[1].score
        if is_doubted(score, asked.picture.frame):
            looks = Looks(asked.picture.frame, asked.prompt, near=True)
            near = self._follow(looks, asked, stock, request)
            if near[0] is not asked and not looks.ran_out and is_meant(near[1].score, score):
                return near
        return looked

    def _follow(
        self, looks: Looks, asked: _Question, stock: StockAnswer, request: Request
    ) -> tuple[_Question, StockAnswer, np.ndarray]:
        """Look where `looks` says; what `_look_closer` returns."""
        (photo, prompt), low_res = asked, stock.logits
        while (look := looks.next(stock.logits, asked.picture.frame)) is not None:
            crop = photo.crop(look.window)
            self._look(crop, [OVERVIEW], request, 0.22, "Looking closer")
            if look.closer:
                window = look.window.within(asked.picture.window)
                inner = prompt_within(asked.prompt, stock.logits, asked.picture.frame, window, crop.frame)
            else:
                inner = prompt_alone(prompt, photo.frame, look.window, crop.frame)
            question = _Question(crop, inner)
            again = self._ask_stock(question, request)
            if not finds_something(again.logits, crop.frame):
                break
            if not look.closer:
                # what an answer about more of the photo said is worth nothing
                low_res = np.full_like(low_res, -REGION_LOGIT)
            low_res = look.window.paste_grid(low_res, photo.frame, again.logits, crop.frame)
            asked, stock = question, again
        return asked, stock, low_res

    def _ask_head(self, asked: _Question, stock: StockAnswer, task: Task, request: Request) -> _Prediction:
        predictor, picture = self._predictor, asked.picture
        reached = list(range(QUADRANTS)) if self._local_views == "all" else predictor.quadrants(stock.logits)
        self._look(picture, reached, request, 0.25, "Looking closer")
        views = {view: picture.views[view] for view in [OVERVIEW, *reached]}
        tensors = PromptTensors(asked.prompt, picture.frame)

        def answer(device: torch.device) -> np.ndarray:
            seen = predictor.look(picture.name, views, picture.fine, device)
            return predictor.answer(task, seen, tensors, stock, device)

        logits = self._compute(request, answer)
        return _Prediction(logits, picture.shown, True, asked)

    def _matting_expert(self) -> Engine:
        """The engine whose matting head answers: the bundled model's when this one has none."""
        if self._predictor.sama is not None:
            return self
        if self._matting_stand_in is None:
            self._matting_stand_in = Engine(STAND_IN, self._device.type, self._cache)
        return self._matting_stand_in

    def _refined(self, prediction: _Prediction, request: Request, progress: Progress) -> np.ndarray:
        """The learned refiner around a mask, and the solver after it: H×W uint8 of the picture that was asked about."""
        compile_caches.prepare_numba()
        if self._refiner is None:
            self._refiner = load_refiner()
        refiner, rgb = self._refiner, prediction.asked.picture.guide

        def refine(device: torch.device) -> np.ndarray:
            solver = network_solver(refiner.to(device), device)
            return refined_alpha(prediction.frame, prediction.logits, rgb, solver, progress)

        return self._compute(request, refine)

    def _same_picture(self, picture: Picture, request: Request) -> Picture:
        """A picture that another engine has as one that this engine's network has looked at."""
        if picture.seen_by(self._predictor):
            return picture
        if self._current is None or self._current.name != picture.name:
            return self._open(picture.rgb, picture.name, request)
        return self._current

    def _borrow_matting_head(self, asked: _Question, stock: StockAnswer, request: Request) -> _Prediction:
        helper = self._matting_expert()
        if helper._predictor.sama is None:
            request.note(f"There is no matting head for {self.model_name}: the edge is closed-form matting's.")
            return _Prediction(stock.logits, asked.picture.frame, False, asked)
        request.note(
            f"The model {self.model_name} has no SAMA adapter yet: its mask was matted by {STAND_IN}'s matting head."
        )
        theirs = _Question(helper._same_picture(asked.picture, request), asked.prompt)
        # stock SAM's mask is the mask prompt
        handed_on = StockAnswer(stock.logits, stock.score, stock.logits)
        answer = helper._ask_head(theirs, handed_on, "matting", request)
        return answer._replace(asked=asked)

    def _compute(self, request: Request, work: Callable[[torch.device], T]) -> T:
        """Run `work` on the device; when its memory runs out, smaller, then on the CPU, with a note in the request."""
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
            request.device = attempt.device.type
            if attempt.note:
                request.note(attempt.note)
            return result
        raise DeviceError(
            "There is not enough memory for this picture. Close other programs or make the picture smaller."
        )

    @staticmethod
    def _precision(attempt: devices.Attempt) -> contextlib.AbstractContextManager:
        if attempt.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(attempt.device.type, attempt.autocast)
