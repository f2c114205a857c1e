"""The engines behind the service: made on first use, on the worker's thread, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from sama_core.inference.request import Answer
    from sama_core.matte_methods import MatteMethod
    from sama_core.prompts import Prompt

    Progress = Callable[[float, str], None]


class EngineLike(Protocol):
    """What the service needs of `sama_core.inference.engine.Engine`."""

    @property
    def device(self) -> str:
        """The device really used."""
        ...

    @property
    def encodes(self) -> int:
        """How many images the network encoded."""
        ...

    def set_image(self, rgb: np.ndarray, progress: Progress = ..., image_id: str | None = None) -> str:
        """Encode an image, or find it in a cache."""
        ...

    def select(self, prompt: Prompt, progress: Progress = ...) -> Answer:
        """Return a soft selection."""
        ...

    def matte(
        self,
        prompt: Prompt,
        decontaminate: bool = False,
        progress: Progress = ...,
        method: MatteMethod = ...,
    ) -> Answer:
        """Return an alpha matte."""
        ...


class EnginePool:
    """Engines by model name.

    Args:
        models: the names a client may ask for; cheap to know, for hello must answer before torch is loaded.
        create: makes the engine for a name; slow, called on the worker's thread only.
        device: what hello reports until an engine is there to say which device it really uses.
        installed: tells which of the models have their weights here, cheaply too; all of them when not given.
    """

    def __init__(
        self,
        models: list[str],
        create: Callable[[str], EngineLike],
        device: str,
        installed: Callable[[], list[str]] | None = None,
    ) -> None:
        self.models = models
        self.installed = installed or (lambda: models)
        self._create = create
        self._wanted_device = device
        self._engines: dict[str, EngineLike] = {}

    def get(self, model: str, progress: Progress) -> EngineLike:
        """Return the engine for a model of `models`, loading it if this is its first job."""
        if model not in self._engines:
            progress(0.0, "Loading the model")
            self._engines[model] = self._create(model)
        return self._engines[model]

    @property
    def device(self) -> str:
        """The device in use, or the one asked for as long as no model is loaded."""
        return next((engine.device for engine in list(self._engines.values())), self._wanted_device)

    @property
    def encodes(self) -> int:
        """How many images were encoded by a network; cache hits do not count."""
        return sum(engine.encodes for engine in list(self._engines.values()))


def real_engines(device: str) -> EnginePool:
    """Return the pool of the product's models, `device` being `auto` or a device's name."""
    from sama_core.weights.registry import MODELS

    def create(model: str) -> EngineLike:
        # Here and not above: importing torch takes seconds, and hello must answer at once.
        from sama_core.inference.engine import Engine

        return Engine(model=model, device=device)

    def installed() -> list[str]:
        return [name for name, model in MODELS.items() if model.weights.is_file()]

    return EnginePool(list(MODELS), create, device, installed)
