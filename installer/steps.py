"""Telling a front end of the steps of an installation, and heeding its wish to stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from installer.events import STEPS, Event, FrontEnd, Log, Progress, StepDone, StepFailed, StepStarted, Stop
from installer.failures import sentence


class Steps:
    """The way through the steps of one run.

    Attributes:
        stop: the person's wish to stop.
    """

    def __init__(self, front: FrontEnd, stop: Stop) -> None:
        self.stop = stop
        self._front = front
        self._coming: Sequence[str] = ()
        self._now = ""
        self._outcome = ""

    def tell(self, event: Event) -> None:
        """Show an event that is not a step's own."""
        self._front.tell(event)

    def expect(self, names: Sequence[str]) -> None:
        """Say which steps come, so that they can be counted."""
        self._coming = names

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell that the step begins and how it ends; what it raises is told and passed on.

        Raises:
            Stopped: somebody asked to stop before it.
        """
        self.stop.check()
        self._now, self._outcome = name, ""
        number = self._coming.index(name) + 1 if name in self._coming else 0
        self.tell(StepStarted(name, STEPS[name], number, len(self._coming)))
        try:
            yield
        except BaseException as error:
            self.tell(StepFailed(name, sentence(error)))
            raise
        self.tell(StepDone(name, self._outcome))

    def outcome(self, text: str) -> None:
        """Let the end of the present step be told with this sentence."""
        self._outcome = text

    def progress(self, done: int, total: int | None, text: str) -> None:
        """Tell how many bytes the present step has dealt with.

        Raises:
            Stopped: somebody asked to stop.
        """
        self.stop.check()
        self.tell(Progress(self._now, done, total, text))

    def log(self, line: str) -> None:
        """Pass on what a program said in the present step."""
        self.tell(Log(self._now, line))
