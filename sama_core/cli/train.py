"""`sama train`: see `sama_core.training.cli`."""

from __future__ import annotations

from sama_core.training.cli import add_arguments, run

__all__ = ["add_arguments", "run"]
