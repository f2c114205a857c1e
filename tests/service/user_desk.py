"""A user's desk: a SAMA_HOME with an installed engine, and plug-in processes that find it, start it and ask it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_process import PATIENCE, ROOT, SMALL_ENGINE, wait_for
from small_disk import SmallDisk

SERVICE = Path(__file__).parent
PLUG_IN = SERVICE / "plugin_process.py"


@dataclass
class Outcome:
    """What one job of a plug-in process came to; `message` is what GIMP would show."""

    status: str
    message: str
    right: bool
    digest: str


class Desk:
    """One user's machine, as far as SAMA is concerned."""

    def __init__(self, folder: Path, disk: SmallDisk | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._prefix = disk.prefix if disk else []
        #: the home as it is seen from here
        self.view = disk.inside if disk else self.home
        self._colour = 0
        #: for the engines that plug-ins start from here on
        self.environment: dict[str, str] = {}
        self.install(SMALL_ENGINE)

    def install(self, command: list[str], version: str = "0.1.0") -> None:
        """Record how the engine is started, as the installer does."""
        # The plug-in passes no PYTHON* variable on, so the engine is told here which sources are meant.
        places = [str(ROOT), str(SERVICE)]
        run = f"run_module({command[1]!r}" if command[0] == "-m" else f"run_path({command[0]!r}"
        code = f"import runpy, sys; sys.path[:0] = {places!r}; runpy.{run}, run_name='__main__')"
        record = {"schema": 1, "python": sys.executable, "args": ["-c", code], "version": version}
        (self.view / "install.json").write_text(json.dumps(record))

    def colours(self, count: int) -> list[int]:
        """Grey levels of pictures that no engine of this desk has seen."""
        first = self._colour + 1
        self._colour += count
        return list(range(first, first + count))

    def spawn(
        self, colours: list[int] | None = None, prefix: list[str] | None = None, **order: Any
    ) -> subprocess.Popen:
        """Start a plug-in process with jobs on new pictures."""
        order["colours"] = colours or self.colours(1)
        return subprocess.Popen(
            [*self._prefix, sys.executable, str(PLUG_IN), json.dumps(order)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
                "SAMA_HOME": str(self.home),
                "SAMA_DEVICE": "cpu",
                "OMP_NUM_THREADS": "1",
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def outcomes(self, process: subprocess.Popen) -> list[Outcome]:
        """Wait for a plug-in process and return what its jobs came to."""
        output, errors = process.communicate(timeout=2 * PATIENCE)
        assert process.returncode == 0, errors.decode()
        return [Outcome(**{"message": "", "right": False, "digest": "", **said}) for said in json.loads(output)]

    def run(self, **order: Any) -> Outcome:
        """Run one job in a plug-in process of its own."""
        [outcome] = self.outcomes(self.spawn(**order))
        return outcome

    def kill_plugin(self, step: str, **order: Any) -> None:
        """Run a job in a plug-in process that is killed at `step`."""
        process = self.spawn(die_at=step, **order)
        _, errors = process.communicate(timeout=2 * PATIENCE)
        assert process.returncode == -signal.SIGKILL, errors.decode()

    def state(self) -> dict[str, Any]:
        """What run/engine.json says."""
        return json.loads((self.view / "run" / "engine.json").read_text())

    def engine_pid(self) -> int:
        """The process of the engine, once it is the only one that knows this home."""
        # One that was started beside it needs a moment to find that out and leave.
        wait_for(lambda: len(self.processes()) == 1, "all processes but one to leave")
        [pid] = self.processes()
        assert self.state()["pid"] == pid
        return pid

    def processes(self) -> list[int]:
        """All processes that live with this SAMA_HOME: engines, plug-ins, and whatever they left behind."""
        return [int(place.name) for place in Path("/proc").glob("[0-9]*") if self._is_ours(place)]

    def order(self, name: str, content: object = "") -> None:
        """Put an order for the small engine in place in one step."""
        draft = self.view / f"{name}.draft"
        draft.write_text(str(content))
        draft.rename(self.view / name)

    def record(self) -> list[str]:
        """What the small models did."""
        path = self.view / "record.txt"
        return path.read_text().splitlines() if path.exists() else []

    def drafts(self) -> list[str]:
        """Unfinished files in SAMA_HOME."""
        names = [path.name for path in self.view.rglob("*") if path.is_file()]
        return [name for name in names if name.endswith((".tmp", ".draft", ".part")) or "engine.json." in name]

    def end(self) -> None:
        """End what is left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes(), "the desk's processes to end")

    def _is_ours(self, process: Path) -> bool:
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return f"SAMA_HOME={self.home}".encode() in environment and state != "Z"
