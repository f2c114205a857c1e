"""One job at a time, first come first served; a job whose client has gone is dropped, waiting or running."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from sama_core import paths
from sama_core.errors import Cancelled, DeviceError, SamaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sama_core.inference.request import Answer

    Progress = Callable[[float, str], None]
    Work = Callable[[Progress], Answer]
    Listener = Callable[[dict[str, Any] | Answer | SamaError], None]

log = logging.getLogger(__name__)

#: Two progress events with the same text are at least this many seconds apart: more of them help nobody.
PROGRESS_INTERVAL = 0.05


class Job:
    """A piece of work and the one who listens to it.

    The listener is called, from whichever thread, with `queued` and `progress` events and at last once with
    an Answer or a SamaError. After `JobQueue.cancel` it is not called any more.
    """

    def __init__(self, work: Work, listener: Listener) -> None:
        self._work = work
        self._listener = listener
        self._cancelled = threading.Event()
        self._last: tuple[str, float] = ("", 0.0)

    def run(self) -> None:
        """Do the work and tell the listener how it ended. Raises nothing, whatever the work does."""
        try:
            self.progress(0.0, "Starting")
            outcome = self._work(self.progress)
        except Cancelled as gone:
            outcome = gone
        except SamaError as error:
            log.warning("job refused: %s", error)
            outcome = error
        except BaseException as error:
            outcome = _as_sama_error(error)
        self._tell(outcome)

    def progress(self, fraction: float, text: str) -> None:
        """Pass on how far the work is.

        Raises:
            Cancelled: the client has gone, or the engine is asked to stop.
        """
        if self._cancelled.is_set():
            raise Cancelled("The job was cancelled.")
        last_text, last_time = self._last
        now = time.monotonic()
        if text != last_text or now - last_time >= PROGRESS_INTERVAL:
            self._last = (text, now)
            self._tell({"event": "progress", "fraction": round(min(max(fraction, 0.0), 1.0), 4), "text": text})

    def queued(self, ahead: int) -> None:
        """Say how many jobs will be done before this one."""
        self._tell({"event": "queued", "ahead": ahead})

    def stop(self) -> None:
        """Make the work end at its next progress report and let the listener be."""
        self._cancelled.set()

    def abandon(self, error: SamaError) -> None:
        """End the job with an error of the engine's own."""
        self._tell(error)
        self._cancelled.set()

    def _tell(self, what: dict[str, Any] | Answer | SamaError) -> None:
        if not self._cancelled.is_set():
            self._listener(what)


def _as_sama_error(error: BaseException) -> SamaError:
    log.error("job failed", exc_info=error)
    # torch's own out-of-memory class is known by its name, so that this module needs no torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return DeviceError("The engine ran out of memory. Close other programs, or work on a smaller copy or a crop.")
    return SamaError(
        f"The engine met an unexpected problem ({type(error).__name__}). "
        f"Try again; the details are in {paths.log_file()}."
    )


class JobQueue:
    """The worker's thread and the jobs waiting for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._closed = False
        #: jobs accepted since the start
        self.accepted = 0
        # A daemon: a computation that never reports progress must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue."""
        with self._changed:
            if self._closed:
                job.abandon(_stopping())
                return
            self.accepted += 1
            self._waiting.append(job)
            ahead = len(self._waiting) - 1 + (self._running is not None)
            if ahead:
                job.queued(ahead)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Drop a job: at once if it waits, at its next progress report if it runs."""
        with self._changed:
            job.stop()
            if job in self._waiting:
                self._waiting.remove(job)
                self._tell_waiting()

    def close(self, timeout: float) -> bool:
        """End all jobs with an error, and say whether the worker's thread ended within `timeout` seconds."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *([self._running] if self._running else [])]
            self._waiting.clear()
            for job in jobs:
                job.abandon(_stopping())
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _tell_waiting(self) -> None:
        for position, job in enumerate(self._waiting):
            job.queued(position + (self._running is not None))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.popleft()
                self._running = job
                # The one taken was the head: for the others as many are ahead as before.
            job.run()
            with self._changed:
                self._running = None
                # A job holds its image: do not keep that alive while waiting for the next one.
                del job
                # The next one starts at once; those behind it have one fewer ahead.
                for position, waiting in enumerate(self._waiting):
                    if position:
                        waiting.queued(position)


def _stopping() -> Cancelled:
    return Cancelled("The engine was asked to stop. Run it again to start a fresh one.")
