"""The plug-in's own client code in a process of its own, without GIMP around it: a script for the tests.

usage: plugin_process.py ORDER

ORDER is JSON: `colours` (a job each, all at once, on a picture of that one grey level), `verb`, `model`, `size`,
`die_at` (one of STEPS, at which the process kills itself with SIGKILL, as GIMP's Cancel does), `start_seconds`,
`hello_seconds`. A matte asks for foreground colours too.
Prints a JSON list with what each job came to: {"status": "answer", "right": whether it is the small engine's, "digest":
…} or {"status": "calling_error" | "execution_error", "message": …}. A job that raises anything else ends the process
with a traceback.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gimp_plugin.sama_select.sama import client, launch
from gimp_plugin.sama_select.sama import job as jobs
from gimp_plugin.sama_select.sama.errors import CallingError, ExecutionError
from gimp_plugin.sama_select.sama.prompt import Prompt

#: Large enough that it travels in pieces.
SIZE = (2000, 1500)
#: Where the plug-in can be killed, in the order in which it comes to them in its first run.
STEPS = (
    "starting",  # the engine's process has just been started
    "found",  # the engine has said hello
    "sending",  # half of the picture
    "sent",
    "waiting",  # the engine has begun
    "receiving",  # the answer's line is there, its pixels are not
    "received",
)


def main(order: dict) -> None:
    def perhaps_die(step: str) -> None:
        if step == order.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    def after(owner, name: str, step: str) -> None:
        function = getattr(owner, name)

        def wrapper(*arguments):
            result = function(*arguments)
            perhaps_die(step)
            return result

        setattr(owner, name, wrapper)

    def before(owner, name: str, step: str) -> None:
        function = getattr(owner, name)

        def wrapper(*arguments):
            perhaps_die(step)
            return function(*arguments)

        setattr(owner, name, wrapper)

    launch.START_SECONDS = order.get("start_seconds", 60)
    client.HELLO_SECONDS = order.get("hello_seconds", 30)
    after(launch, "_start", "starting")
    after(launch, "connect", "found")
    after(client.Client, "put_image", "sent")
    before(client, "_read_answer", "receiving")

    class Parts(list):
        def __iter__(self):
            for number, part in enumerate(super().__iter__()):
                if number:
                    perhaps_die("sending")
                yield part

    width, height = order.get("size", SIZE)

    def report(fraction: float | None, text: str) -> None:
        if fraction:
            perhaps_die("waiting")

    def run(colour: int) -> dict:
        half = bytes([colour]) * (width * height * 3 // 2)
        name = hashlib.sha256(b"%dx%d:" % (width, height) + half + half).hexdigest()
        picture = jobs.Pixels(width, height, Parts([half, half]), name)
        prompt = Prompt(points=[(5.0, 5.0)], labels=[1])
        verb = order.get("verb", "select")
        job = jobs.Job(verb, picture, prompt, order.get("model", "small"), decontaminate=verb == "matte")
        try:
            answer = jobs.ask_engine(job, report, jobs.Timing())
        except (CallingError, ExecutionError) as error:
            kind = "calling_error" if isinstance(error, CallingError) else "execution_error"
            return {"status": kind, "message": str(error)}
        perhaps_die("received")
        right = answer.alpha == bytes([(3 * colour + 1) % 256]) * (width * height)
        return {"status": "answer", "right": right, "digest": hashlib.sha256(answer.alpha).hexdigest()}

    with ThreadPoolExecutor(len(order["colours"])) as pool:
        print(json.dumps(list(pool.map(run, order["colours"]))))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
