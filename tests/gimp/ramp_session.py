"""A GIMP whose engine is the stand-in of ramp_engine.py: answers are known byte by byte, and faults come to order."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox import GimpInstallation, GimpSession, Workspace, engine_process

ENGINE = Path(__file__).with_name("ramp_engine.py")
#: Loaded into GIMP once; snippets of tests use what it defines.
INSIDE = Path(__file__).with_name("inside_gimp.py")


class RampSession:
    """One GIMP with helpers of inside_gimp.py in its globals, and control over its stand-in engine."""

    def __init__(self, gimp: GimpSession) -> None:
        self.gimp = gimp
        self.home = gimp.workspace.sama_home
        gimp.run(INSIDE.read_text())

    def json(self, code: str) -> Any:
        """Run a snippet; return the value of its last print, parsed as JSON."""
        return self.gimp.json(code)

    def order(self, **orders: Any) -> None:
        """Tell the stand-in how to behave from the next request on; see ramp_engine.py."""
        part = self.home / "orders.part"
        part.write_text(json.dumps(orders))
        part.rename(self.home / "orders.json")

    def requests(self) -> list[dict[str, Any]]:
        """Return the questions asked since the test began, oldest first."""
        diary = self.home / "requests.jsonl"
        return [json.loads(line) for line in diary.read_text().splitlines()] if diary.exists() else []

    def stats(self) -> dict[str, int]:
        """Return the counters of the running stand-in."""
        return engine_process.hello(self.home)["stats"]

    def kill(self) -> int:
        """SIGKILL the running stand-in, wait for its end, and return its process id."""
        return engine_process.kill(self.home)

    def pid(self) -> int:
        """Return the process id of the running stand-in."""
        return engine_process.hello(self.home)["pid"]

    @contextmanager
    def at_work(self, code: str) -> Iterator[list[Any]]:
        """Run a snippet in another thread, and the `with` block once the engine is in the middle of its job.

        After the block the list holds the snippet's JSON.
        """
        self.order(hold=True)
        (self.home / "working").unlink(missing_ok=True)
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(self.json(code)))
        thread.start()
        try:
            deadline = time.monotonic() + 60
            while not (self.home / "working").exists():
                assert time.monotonic() < deadline, "The engine was never asked.\n" + self.gimp.log()[-2000:]
                time.sleep(0.02)
            yield outcome
        finally:
            self.order()
            thread.join(60)

    def clear(self) -> None:
        """Forget orders, diary and images; a running stand-in stays."""
        for name in ("orders.json", "requests.jsonl", "working", "last-image.rgb", "last-mask.bin"):
            (self.home / name).unlink(missing_ok=True)
        # once more: a snippet may have given the name of one of the helpers to something of its own
        self.gimp.run(INSIDE.read_text() + "\nclear()")


@contextmanager
def ramp_session(installation: GimpInstallation, plug_in: Path) -> Iterator[RampSession]:
    """Start GIMP with the plug-in and with the stand-in recorded as its engine."""
    workspace = Workspace(installation, [plug_in])
    workspace.record_engine(Path(sys.executable), [str(ENGINE)])
    try:
        with GimpSession(workspace, "pytest-gimp-ramp", fonts=True) as gimp:
            yield RampSession(gimp)
    finally:
        engine_process.stop(workspace.sama_home)
        workspace.remove("ramp")
