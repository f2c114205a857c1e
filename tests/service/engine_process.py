"""A real engine process in its own SAMA_HOME, and a plain client for it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sama_core.images import image_id

ROOT = Path(__file__).resolve().parents[2]
SMALL_ENGINE = [str(Path(__file__).with_name("small_engine.py"))]
PATIENCE = 60.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value; fail after a minute without one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE:g} s in vain for {what}")


@dataclass
class Stream:
    """What select or matte answered: the lines in order, and the bytes behind the last."""

    status: int
    content_type: str | None
    events: list[dict[str, Any]]
    payload: bytes

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]


@dataclass
class RunningEngine:
    """An engine process and the requests a client makes of it."""

    home: Path
    process: subprocess.Popen[bytes]
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.state["port"]

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.state['token']}"}

    @property
    def log(self) -> str:
        return (self.home / "logs" / "engine.log").read_text()

    @property
    def record(self) -> list[str]:
        path = self.home / "record.txt"
        return path.read_text().splitlines() if path.exists() else []

    def release(self) -> None:
        (self.home / "release").touch()

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Make one request on its own connection; return its status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {**self.auth, **(headers or {})})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text) if text else {}

    def hello(self) -> dict[str, Any]:
        status, hello = self.request("GET", "/v1/hello")
        assert status == 200
        return hello

    def upload(self, rgb: np.ndarray, name: str | None = None) -> str:
        name = name or image_id(rgb)
        height, width = rgb.shape[:2]
        size = {"X-Width": str(width), "X-Height": str(height)}
        status, body = self.request("PUT", f"/v1/images/{name}", rgb.tobytes(), size)
        assert status == 204, body
        return name

    def start_job(self, verb: str = "select", mask_bytes: bytes = b"", **fields: Any) -> http.client.HTTPConnection:
        """Send a job and return the connection without waiting for its answer."""
        if mask_bytes:
            fields["mask"] = True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", f"/v1/{verb}", json.dumps(fields).encode() + b"\n" + mask_bytes, self.auth)
        return connection

    def job(self, verb: str = "select", mask_bytes: bytes = b"", **fields: Any) -> Stream:
        """Do a job and read its answer to the end."""
        return read_stream(self.start_job(verb, mask_bytes, **fields))

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the engine closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(data)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


def read_stream(connection: http.client.HTTPConnection) -> Stream:
    response = connection.getresponse()
    if response.status != 200:
        body = response.read()
        connection.close()
        return Stream(response.status, response.getheader("Content-Type"), [json.loads(body)], b"")
    events = []
    while line := response.readline():
        events.append(json.loads(line))
        if events[-1]["event"] in ("answer", "error"):
            break
    payload = response.read()
    connection.close()
    return Stream(response.status, response.getheader("Content-Type"), events, payload)


class EngineStarter:
    """Starts engine processes and ends those that are left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def spawn(self, home: Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self._folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
                "PYTHONPATH": str(ROOT),
                "SAMA_HOME": str(home),
                "SAMA_DEVICE": "cpu",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._processes.append(process)
        return process

    def __call__(
        self, command: list[str] = SMALL_ENGINE, home: Path | None = None, **environment: str
    ) -> RunningEngine:
        """Start an engine and wait until it can be found."""
        home = home or self._folder / "home"
        process = self.spawn(home, command, environment)
        engine = RunningEngine(home, process)

        def found() -> bool:
            if process.poll() is not None:
                output = process.stdout.read().decode() if process.stdout else ""
                raise AssertionError(f"the engine ended with status {process.returncode}: {output}")
            try:
                engine.state = json.loads((home / "run" / "engine.json").read_text())
            except OSError:
                return False
            return engine.state["pid"] == process.pid

        wait_for(found, "the engine's state file")
        return engine

    def end_all(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
