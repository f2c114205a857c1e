"""One photo's work: read it, ask the engine, write a draft of the output. The same here and on a cluster."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sama_core.batch.prompts_file import PhotoPrompt
from sama_core.errors import SamaError
from sama_core.files import file_sha256
from sama_core.matte_methods import DEFAULT, MatteMethod

if TYPE_CHECKING:
    import numpy as np

    from sama_core.inference.request import Answer
    from sama_core.prompts import Prompt


class BatchEngine(Protocol):
    """What a batch asks of an engine."""

    def set_image(self, rgb: np.ndarray) -> str:
        """Make an image the one that prompts are about."""
        ...

    def select(self, prompt: Prompt) -> Answer:
        """Answer with a selection."""
        ...

    def matte(self, prompt: Prompt, decontaminate: bool = False, *, method: MatteMethod = DEFAULT) -> Answer:
        """Answer with a matte."""
        ...


#: Makes a worker's engine, in the worker's own process; it has to be picklable.
MakeEngine = Callable[[], BatchEngine]


_FULL = "The disk is full. Make room and give the same command again."


@dataclass(frozen=True)
class Task:
    """What a worker is given.

    Attributes:
        photo: the photo's file.
        mask: a rough mask's file, or empty.
        draft: where the output is written; its folder must be there.
        key: of everything that the output is made from.
        prompt: what to do.
    """

    photo: str
    mask: str
    draft: str
    key: str
    prompt: PhotoPrompt

    def to_json(self) -> str:
        """The task as text, for a cluster."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """The task that `to_json` gave."""
        fields = json.loads(text)
        prompt = fields.pop("prompt")
        prompt["points"] = tuple(tuple(point) for point in prompt["points"])
        prompt["labels"] = tuple(prompt["labels"])
        prompt["box"] = None if prompt["box"] is None else tuple(prompt["box"])
        return cls(**fields, prompt=PhotoPrompt(**prompt))


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        error: what went wrong, in words for the user; empty when the draft is written.
        fatal: it would go wrong with every other photo too.
        sha256: of the draft.
        score: the model's own estimate, 0..1.
    """

    task: Task
    error: str = ""
    fatal: bool = False
    sha256: str = ""
    score: float = 0.0
    device: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def make_product_engine(model: str, device: str, workers: int) -> BatchEngine:
    """The engine of `sama batch`; bind the arguments with `functools.partial` to have a `MakeEngine`.

    Embeddings are kept in RAM only: a batch would push those of the user's open pictures out of the disk's cache.

    Args:
        workers: how many share this machine's processors.
    """
    import torch

    from sama_core import paths
    from sama_core.inference.embedding_cache import EmbeddingCache
    from sama_core.inference.engine import Engine

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    # What is compiled is cached in there; the engine does without where it cannot be.
    with contextlib.suppress(OSError):
        paths.make_home()
    return Engine(model, device, EmbeddingCache(None, ram_entries=5))


def work(engine: BatchEngine, task: Task) -> Outcome:
    """Do a task; whatever goes wrong becomes the outcome's `error`."""
    from sama_core.image_files import NoRoom

    began = time.perf_counter()
    try:
        answer = _work(engine, task)
        sha256 = file_sha256(Path(task.draft))
    except NoRoom:
        return Outcome(task, _FULL, fatal=True)
    except SamaError as error:
        return Outcome(task, str(error))
    except MemoryError:
        return Outcome(task, "There is not enough memory for this photo. Use fewer --jobs or a smaller copy.")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        if full:
            return Outcome(task, _FULL, fatal=True)
        # The user knows the output, not its draft.
        name = task.prompt.output if error.filename == task.draft else Path(error.filename or "").name
        place = f"{name}: " if name else ""
        return Outcome(task, f"{place}{error.strerror or error}. Check the place and its permissions.")
    except Exception as error:
        return Outcome(task, f"An unexpected problem ({type(error).__name__}: {error}). Please report it.")
    return Outcome(
        task,
        sha256=sha256,
        score=float(answer.score),
        device=answer.device,
        seconds=time.perf_counter() - began,
        notes=answer.notes,
    )


def _work(engine: BatchEngine, task: Task) -> Answer:
    from sama_core.image_files import check_room, read_image, read_mask, save_cutout, save_mask
    from sama_core.prompts import Prompt

    what = task.prompt
    image = read_image(task.photo)
    mask = read_mask(task.mask) if task.mask else None
    height, width = image.rgb.shape[:2]
    check_room(task.draft, height, width, channels=1 if what.kind == "select" or what.alpha_only else 4)
    prompt = Prompt(list(what.points), list(what.labels), what.box, mask).validated(height, width)
    engine.set_image(image.rgb)
    if what.kind == "select":
        answer = engine.select(prompt)
        save_mask(task.draft, answer.alpha, image.dpi)
    elif what.alpha_only:
        answer = engine.matte(prompt, method=what.method)
        save_mask(task.draft, answer.alpha, image.dpi)
    else:
        answer = engine.matte(prompt, what.decontaminate, method=what.method)
        save_cutout(task.draft, *answer.cutout(image.rgb, image.alpha), image.dpi)
    answer.notes[:0] = image.notes
    return answer


def describe_exit(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"signal {-code}" + (", perhaps because the memory ran out" if code == -9 and os.name == "posix" else "")
    return f"status {code}"


def as_row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a row for a cluster: its task and everything else, as JSON."""
    fields = {name: value for name, value in vars(outcome).items() if name != "task"}
    return {"task": outcome.task.to_json(), "outcome": json.dumps(fields)}


def from_row(row: dict[str, Any]) -> Outcome:
    """The outcome that `as_row` gave."""
    return Outcome(Task.from_json(row["task"]), **json.loads(row["outcome"]))
