"""The installer's own child processes: what environment they get, and how a long one is watched."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from installer import run_lock
from installer.steps import Steps

#: A person's own settings for one Python or one pip must not leak into the engine's environment.
_DROPPED = (
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
    "CONDA_PREFIX",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_REQUIRE_VIRTUALENV",
)
#: Where programs run: Python looks for modules in the current folder first, and the engine's source may be there.
_ROOT_FOLDER = Path(sys.executable).anchor


def clean_environment() -> dict[str, str]:
    """Return this process's environment without `PYTHON*` and what else changes which modules are found."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def run_quietly(command: list[str], extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a short program and return what it said; one that cannot be started ends with status 127.

    Args:
        command: the program and its arguments.
        extra: variables to set in its environment.
    """
    try:
        return subprocess.run(
            command,
            env={**clean_environment(), **(extra or {})},
            cwd=_ROOT_FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def run_watched(
    command: list[str],
    steps: Steps,
    extra: Mapping[str, str] | None = None,
    hear: Callable[[str], object] | None = None,
) -> tuple[int, list[str]]:
    """Run a long program, tell its lines as they come, and end it when the person asks to stop.

    Args:
        command: the program and its arguments.
        steps: whose stop is heeded.
        extra: variables to set in its environment.
        hear: told each line; None lets `steps` log it.

    Returns:
        its exit status, and all lines of its stdout and stderr.

    Raises:
        OSError: it cannot be started.
        Stopped: somebody asked to stop; the program has ended.
    """
    process = subprocess.Popen(
        command,
        env={**clean_environment(), **(extra or {})},
        cwd=_ROOT_FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=run_lock.held(),
    )
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_listen, args=(process, said), daemon=True).start()
    lines: list[str] = []
    try:
        while True:
            steps.stop.check()
            try:
                line = said.get(timeout=0.2)
            except queue.Empty:
                continue
            if line is None:
                return process.wait(), lines
            lines.append(line)
            (hear or steps.log)(line)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _listen(process: subprocess.Popen[str], said: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            said.put(line.rstrip())
    said.put(None)
