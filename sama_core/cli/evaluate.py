"""`sama evaluate`: see `sama_core.evaluation.cli`."""

from __future__ import annotations

from sama_core.evaluation.cli import add_arguments, run

__all__ = ["add_arguments", "run"]
