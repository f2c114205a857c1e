"""A line on the terminal that says how far the work is and is written over; nothing where stderr is no terminal."""

from __future__ import annotations

import sys


class ProgressLine:
    """The line; `show` has the shape of `inference.request.Progress`."""

    def __init__(self) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty()

    def show(self, fraction: float, text: str) -> None:
        """Write the line: how far the work is (0..1) and what is being done."""
        if self._on:
            print(f"\r\033[K{fraction:4.0%}  {text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._on:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
