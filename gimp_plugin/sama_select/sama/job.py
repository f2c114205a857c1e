"""One job of the engine, from a picture and a prompt to the answer, in a thread of its own. No GIMP in here."""

from __future__ import annotations

import queue
import threading
from typing import Callable, List, NamedTuple, TypeVar

from . import launch
from .client import Answer, EngineGone, Report, UnknownImage, stopped
from .errors import ExecutionError
from .prompt import Prompt
from .timing import Steps

#: How often the waiting thread gets to do other things, in seconds.
TICK_SECONDS = 0.1


class Picture(NamedTuple):
    """sRGB R'G'B' u8 pixels in parts, row-major without padding, and the SHA-256 that names them on the wire."""

    width: int
    height: int
    parts: List[bytes]
    image_id: str


class Job(NamedTuple):
    """What to ask: `verb` is select or matte, `model` a name the engine knows."""

    verb: str
    picture: Picture
    prompt: Prompt
    model: str
    decontaminate: bool = False


def run(job: Job, report: Report, steps: Steps) -> Answer:
    """Ask the engine, sending the pixels only if it does not hold them, and return its whole answer.

    Raises:
        CallingError, ExecutionError: see `client.Client.ask` and `launch.connect`.
    """
    request = {**job.prompt.request(), "image": job.picture.image_id, "model": job.model}
    if job.decontaminate:
        request["decontaminate"] = True
    with steps.step("pack_mask"):
        mask = job.prompt.packed_mask()
    with steps.step("connect"):
        client = launch.connect(report)
    try:
        answer = _ask(client, job, request, mask, report, steps)
    except EngineGone:
        # It left between hello and question (idle exit): nothing was begun, so one more try is safe.
        with steps.step("connect"):
            client = launch.connect(report)
        try:
            answer = _ask(client, job, request, mask, report, steps)
        except EngineGone:
            raise stopped() from None
    if (answer.width, answer.height) != (job.picture.width, job.picture.height):
        raise ExecutionError(
            "The SAMA engine answered for a picture of %d×%d instead of %d×%d. Run the command again."
            % (answer.width, answer.height, job.picture.width, job.picture.height)
        )
    if job.decontaminate and answer.foreground is None:
        raise ExecutionError(
            "The SAMA engine sent no foreground colours. Switch “Decontaminate colours” off, or install the engine "
            "again."
        )
    return answer


def _ask(client, job, request, mask, report, steps):
    picture = job.picture
    # Twice: an engine short of memory may drop the picture between upload and question.
    for _ in range(2):
        try:
            with steps.step("ask"):
                return client.ask(job.verb, request, mask, report)
        except UnknownImage:
            report(None, "Sending the picture")
            with steps.step("send"):
                client.put_image(picture.image_id, picture.width, picture.height, picture.parts)
    try:
        with steps.step("ask"):
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
