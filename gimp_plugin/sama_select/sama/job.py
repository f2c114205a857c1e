"""One job of the engine, from a picture and a prompt to the answer, in a thread of its own. No GIMP in here."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from contextlib import contextmanager
from typing import Callable, List, NamedTuple, TypeVar

from . import launch
from .client import Answer, EngineGone, Report, UnknownImage, stopped
from .errors import ExecutionError
from .prompt import Prompt

#: How often the waiting thread gets to do other things, in seconds.
TICK_SECONDS = 0.1


class Pixels(NamedTuple):
    """A picture: sRGB R'G'B' u8 in parts, row-major without padding, and the SHA-256 that names it on the wire."""

    width: int
    height: int
    parts: List[bytes]
    image_id: str


class Job(NamedTuple):
    """What to ask: `verb` is select or matte, `model` a name the engine knows."""

    verb: str
    pixels: Pixels
    prompt: Prompt
    model: str
    decontaminate: bool = False


class Timing:
    """Wall-clock seconds by step name, for the benchmark: with SAMA_TIMING=1 one JSON line on standard output."""

    def __init__(self) -> None:
        self.seconds = {}
        self._began = time.perf_counter()

    @contextmanager
    def step(self, name: str):
        """Add the time spent in the `with` block to the step called `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def write(self, **more) -> None:
        """Print `{"sama_timing": {…}}` if asked for; GIMP's Windows build runs without any standard output."""
        if os.environ.get("SAMA_TIMING") != "1" or sys.stdout is None:
            return
        seconds = {name: round(value, 4) for name, value in self.seconds.items()}
        seconds["total"] = round(time.perf_counter() - self._began, 4)
        print(json.dumps({"sama_timing": dict(more, seconds=seconds)}), flush=True)


def ask_engine(job: Job, report: Report, timing: Timing) -> Answer:
    """Ask the engine, sending the pixels only if it does not hold them, and return its whole answer.

    Raises:
        CallingError, ExecutionError: see `client.Client.ask` and `launch.connect`.
    """
    request = {**job.prompt.request(), "image": job.pixels.image_id, "model": job.model}
    if job.decontaminate:
        request["decontaminate"] = True
    with timing.step("pack_mask"):
        mask = job.prompt.packed_mask()
    with timing.step("connect"):
        client = launch.connect(report)
    try:
        answer = _ask(client, job, request, mask, report, timing)
    except EngineGone:
        # It left between hello and question (idle exit): nothing was begun, so one more try is safe.
        with timing.step("connect"):
            client = launch.connect(report)
        try:
            answer = _ask(client, job, request, mask, report, timing)
        except EngineGone:
            raise stopped() from None
    if (answer.width, answer.height) != (job.pixels.width, job.pixels.height):
        raise ExecutionError(
            "The SAMA engine answered for a picture of %d×%d instead of %d×%d. Run the command again."
            % (answer.width, answer.height, job.pixels.width, job.pixels.height)
        )
    if job.decontaminate and answer.foreground is None:
        raise ExecutionError(
            "The SAMA engine sent no foreground colours. Switch “Decontaminate colours” off, or install the engine "
            "again."
        )
    return answer


def _ask(client, job, request, mask, report, timing):
    pixels = job.pixels
    # Twice: an engine short of memory may drop the picture between upload and question.
    for _ in range(2):
        try:
            with timing.step("ask"):
                return client.ask(job.verb, request, mask, report)
        except UnknownImage:
            report(None, "Sending the picture")
            with timing.step("send"):
                client.put_image(pixels.image_id, pixels.width, pixels.height, pixels.parts)
    try:
        with timing.step("ask"):
            return client.ask(job.verb, request, mask, report)
    except UnknownImage:
        raise ExecutionError(
            "The SAMA engine keeps forgetting the picture: it is short of memory. Close other programs, then try again."
        ) from None


Result = TypeVar("Result")


def run_in_thread(work: Callable[[Report], Result], report: Report, idle: Callable[[], None]) -> Result:
    """Run `work` in a thread and relay its reports from this one, where GIMP may be talked to.

    Args:
        work: called in the thread with the report function to use there.
        report: called in this thread with the newest report.
        idle: called in this thread several times a second.

    Returns:
        what `work` returned; what it raised is raised here.
    """
    events: queue.Queue = queue.Queue()
    outcome = {}

    def body():
        try:
            outcome["answer"] = work(lambda fraction, text: events.put((fraction, text)))
        except BaseException as error:
            outcome["error"] = error
        finally:
            events.put(_DONE)

    # Daemon: when GIMP tells this process to go, it must not linger for an engine.
    threading.Thread(target=body, daemon=True).start()
    event = None
    while event is not _DONE:
        event = _newest(events)
        idle()
        if event is not None and event is not _DONE:
            report(*event)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["answer"]


#: What ends the reports of a thread.
_DONE = (None, "")


def _newest(events):
    """The newest report within a tick, _DONE if that is the last of all, or None when there was nothing."""
    newest = None
    try:
        newest = events.get(timeout=TICK_SECONDS)
        while newest is not _DONE:
            newest = events.get_nowait()
    except queue.Empty:
        pass
    return newest
