"""Ctrl-C as a request: the step in hand is finished and saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """A context in which the first Ctrl-C only sets `asked`; a second one interrupts at once.

    Args:
        patient: a second one is ignored too. torchrun passes the signal on to processes that already had it.
    """

    def __init__(self, patient: bool = False) -> None:
        self.asked = False
        self._patient = patient

    def __enter__(self) -> StopRequest:
        # Python lets only the main thread handle signals
        self._handles = threading.current_thread() is threading.main_thread()
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._patient:
            raise KeyboardInterrupt
        self.asked = True
