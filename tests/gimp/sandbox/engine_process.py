"""The engine process that a plug-in under test has started: ask it, end it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from pathlib import Path
from typing import Any


def state(sama_home: Path) -> dict[str, Any] | None:
    """Return what run/engine.json says, or None when there is none."""
    try:
        return json.loads((sama_home / "run" / "engine.json").read_text())
    except (OSError, ValueError):
        return None


def hello(sama_home: Path) -> dict[str, Any]:
    """Return the engine's answer to GET /v1/hello.

    Raises:
        RuntimeError: no engine is running there, or it refused.
    """
    status, body = _request(sama_home, "GET", "/v1/hello")
    if status != 200:
        raise RuntimeError(f"The engine answered hello with {status}: {body[:200]!r}")
    return json.loads(body)


def kill(sama_home: Path) -> int:
    """End the engine with SIGKILL, wait until it is gone, and return its process id.

    Raises:
        RuntimeError: no engine is running there.
    """
    pid = hello(sama_home)["pid"]
    os.kill(pid, signal.SIGKILL)
    if not _gone(pid, 10):
        raise RuntimeError(f"The engine (process {pid}) is still there ten seconds after SIGKILL.")
    return pid


def stop(sama_home: Path) -> None:
    """End the engine if one is running: by its own protocol, or else by its process id."""
    try:
        pid = hello(sama_home)["pid"]
        _request(sama_home, "POST", "/v1/shutdown")
    except (OSError, RuntimeError, http.client.HTTPException):
        return
    if not _gone(pid, 10):
        os.kill(pid, signal.SIGKILL)


def _request(sama_home: Path, method: str, path: str) -> tuple[int, bytes]:
    found = state(sama_home)
    if found is None:
        raise RuntimeError(f"No engine is running: {sama_home / 'run' / 'engine.json'} is missing.")
    connection = http.client.HTTPConnection("127.0.0.1", found["port"], timeout=30)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {found['token']}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionError as error:
        raise RuntimeError(f"The engine of process {found['pid']} does not answer: {error}") from error
    finally:
        connection.close()


def _gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        # A process whose parent has not asked after it yet is dead all the same.
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
