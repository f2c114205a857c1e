"""How long the engine has been without a request."""

from __future__ import annotations

import time


class Activity:
    """Counts requests in progress, as a context manager around each; used from the event loop only."""

    def __init__(self) -> None:
        self._in_progress = 0
        self._last = time.monotonic()

    def __enter__(self) -> None:
        self._in_progress += 1

    def __exit__(self, *_: object) -> None:
        self._in_progress -= 1
        self._last = time.monotonic()

    def idle_seconds(self) -> float:
        """Return the seconds since the last request ended, 0 while one is in progress."""
        return 0.0 if self._in_progress else time.monotonic() - self._last
