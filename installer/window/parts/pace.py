"""How long a download is still going to take."""

from __future__ import annotations

import time
from collections import deque

#: Seconds looked back on: long enough to be calm, short enough to follow a network that changes.
_LOOKED_BACK = 15.0
#: Nothing is said before so many seconds have been seen.
_LEAST_SEEN = 3.0


class Pace:
    """Reckons the time that is left from what was done in the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def left(self, done: int, total: int | None, now: float | None = None) -> str:
        """Take note of `done` bytes; return what to say of the time left, "" as long as nothing can be said."""
        now = time.monotonic() if now is None else now
        if self._seen and done < self._seen[-1][1]:
            # Another file, or another step.
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _LOOKED_BACK:
            self._seen.popleft()
        seconds, moved = now - self._seen[0][0], done - self._seen[0][1]
        if total is None or moved <= 0 or seconds < _LEAST_SEEN:
            return ""
        return _in_words((total - done) * seconds / moved)


def _in_words(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 90:
        return "about a minute left" if minutes == 1 else f"about {minutes} minutes left"
    return f"about {round(minutes / 60)} hours left"
