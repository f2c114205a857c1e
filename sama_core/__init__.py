"""SAMA for GIMP: the engine. Click on a thing in a photo and get a selection or an alpha matte.

Importing this package imports neither torch nor numpy; `Engine` and `Prompt` are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sama_core.inference.engine import Answer, Engine
    from sama_core.prompts import Prompt

__version__ = "0.1.0"
__all__ = ["Answer", "Engine", "Prompt", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("Engine", "Answer"):
        from sama_core.inference import engine

        return getattr(engine, name)
    if name == "Prompt":
        from sama_core.prompts import Prompt

        return Prompt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
