"""A running GIMP that takes Python snippets."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.workspace import LOGS, Workspace

REPL = Path(__file__).with_name("repl.py")


class GimpError(Exception):
    """A snippet raised inside GIMP, or GIMP died or did not answer; the text carries traceback or log."""


class GimpSession:
    """One GIMP process, `gimp-console` unless `window`, that runs Python snippets in its batch interpreter.

    Snippets share their globals, in which Gimp, Gegl, Babl, GLib, GObject, Gio, json, os, pdb and
    `call(procedure_name, **arguments)` (see `repl.py`) are there already. A context manager.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str = "gimp",
        window: bool = False,
        fonts: bool = False,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = 120,
    ) -> None:
        """Start GIMP and wait until it answers.

        Args:
            workspace: its folders.
            name: of the log file, `build/logs/NAME.log`.
            window: start GIMP with its windows; `environment` must give DISPLAY.
            fonts: load fonts, without which there is no text layer.
            environment: added to the workspace's.
            start_seconds: how long it may take.

        Raises:
            GimpError: it did not start.
        """
        self.workspace = workspace
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log_file = LOGS / f"{name}.log"
        self._socket = workspace.folder / f"{name}.sock"
        self._socket.unlink(missing_ok=True)
        script = workspace.folder / "repl.py"
        shutil.copyfile(REPL, script)
        gimp = workspace.gimp
        program = ([gimp.window, "--new-instance", "--no-splash"] if window else [gimp.console]) + (
            [] if fonts else ["--no-fonts"]
        )
        batch = [
            "--quit",
            "--batch-interpreter",
            "python-fu-eval",
            "-b",
            f"exec(open({str(script)!r}).read())",
        ]
        variables = workspace.environment({"SAMA_REPL": str(self._socket), **(environment or {})})
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                gimp.command(workspace.folder, *program, *batch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                cwd="/",
            )
        try:
            self._wait_until_ready(start_seconds)
        except GimpError:
            self.close()
            raise

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._ping()
            except OSError:
                if self._process.poll() is not None:
                    raise GimpError(
                        f"GIMP ended with {self._process.returncode} while starting.{self._tail()}"
                    ) from None
                if time.monotonic() > deadline:
                    raise GimpError(f"GIMP was not ready after {seconds:.0f} s.{self._tail()}") from None
                time.sleep(0.05)

    def _ping(self) -> None:
        self._ask("", 30)

    @property
    def process_id(self) -> int:
        """GIMP's process id, the same inside its tree and outside."""
        return self._process.pid

    @property
    def files(self) -> Path:
        """A folder for pictures, at the same path inside GIMP and outside."""
        return self.workspace.files

    def log(self) -> str:
        """Return all that GIMP and its plug-ins have written to standard output and error so far."""
        return self.log_file.read_text(errors="replace")

    def run(self, code: str, timeout: float = 180) -> str:
        """Run a Python snippet inside GIMP and return what it printed.

        Raises:
            GimpError: with the snippet's traceback, or the end of GIMP's log when GIMP died or took over
            `timeout` seconds.
        """
        try:
            answer = self._ask(code, timeout)
        except TimeoutError:
            raise GimpError(f"GIMP did not answer within {timeout:.0f} s.{self._tail()}") from None
        except (OSError, ValueError) as error:
            raise GimpError(f"GIMP went away ({error}).{self._tail()}") from None
        if answer["error"]:
            raise GimpError(answer["error"] + (f"Printed before: {answer['output']}" if answer["output"] else ""))
        return answer["output"]

    def json(self, code: str, timeout: float = 180) -> Any:
        """Run a snippet that prints one JSON text, and return it parsed."""
        return json.loads(self.run(code, timeout))

    def close(self) -> None:
        """End GIMP: ask it to quit, and end its process when it has not done so within ten seconds."""
        if self._process.poll() is None:
            try:
                with self._connect(5) as connection:
                    connection.sendall(b"QUIT")
                    connection.shutdown(socket.SHUT_WR)
                self._process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> GimpSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self._socket))
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, code: str, timeout: float) -> dict[str, Any]:
        with self._connect(timeout) as connection:
            connection.sendall(code.encode())
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(1 << 20):
                parts.append(part)
        return json.loads(b"".join(parts))

    def _tail(self) -> str:
        lines = self.log().splitlines()[-25:]
        return f" The end of {self.log_file}:\n" + "\n".join(lines)
