"""The way of a run through its steps, who shows it to a person or a program, and how it is stopped.

Text, `--json` and the window are three front ends of the same installation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from installer import events
from installer.events import STEPS, Event, InstallError, Planned, RemovalPlanned, sentence


class Stopped(InstallError):
    """The person asked to stop."""


class Stop:
    """A person's wish to stop, made on one thread and heeded on another."""

    def __init__(self) -> None:
        self._wish = threading.Event()

    def request(self) -> None:
        """Ask the installation to stop; it does so within about a second, and takes back what it made."""
        self._wish.set()

    def check(self) -> None:
        """Go on, unless somebody asked to stop.

        Raises:
            Stopped: somebody did.
        """
        if self._wish.is_set():
            raise Stopped("Stopped. Run the installer again to go on; what was downloaded whole is kept.")

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether somebody asked to stop."""
        return self._wish.wait(seconds)


class FrontEnd:
    """Whoever shows an installation to a person, or to a program. This one shows nothing, and has nobody to ask."""

    def tell(self, event: Event) -> None:
        """Show the event. Called on the thread that installs, so that a slow answer holds the installation up."""

    def agrees(self, plan: Planned) -> bool:
        """Ask whether to do what the plan says.

        Raises:
            InstallError: there is nobody to ask, or the answer is to stop.
        """
        return True

    def wants_models(self, plan: Planned) -> tuple[str, ...]:
        """Ask which of the models that the plan offers are to be downloaded, and return their names."""
        return ()

    def gives_up(self, plan: RemovalPlanned) -> bool:
        """Ask whether the models that the plan names are to be removed too.

        Raises:
            InstallError: there is nobody to ask, or the answer is to stop.
        """
        return False


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
        self._now = name
        number = self._coming.index(name) + 1 if name in self._coming else 0
        self.tell(events.StepStarted(name, STEPS[name], number, len(self._coming)))
        try:
            yield
        except BaseException as error:
            self.tell(events.StepFailed(name, sentence(error)))
            raise
        self.tell(events.StepDone(name))

    def progress(self, done: int, total: int | None, text: str) -> None:
        """Tell how many bytes the present step has dealt with.

        Raises:
            Stopped: somebody asked to stop.
        """
        self.stop.check()
        self.tell(events.Progress(self._now, done, total, text))

    def log(self, line: str) -> None:
        """Pass on what a program said in the present step."""
        self.tell(events.Log(self._now, line))
