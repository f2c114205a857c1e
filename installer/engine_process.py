"""End a running engine (docs/protocol.md), so that what it runs from can be replaced or removed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from installer import checkout
from installer.failures import InstallError

_PATIENCE = 30.0


def stop() -> None:
    """Ask the user's engine to end, and wait until it has; nothing happens when none runs.

    Raises:
        InstallError: it does not end.
    """
    lock = checkout.paths.state_file().with_name("engine.lock")
    deadline = time.monotonic() + _PATIENCE
    while _is_held(lock):
        # Asked again each time: an engine that is just starting cannot be found yet.
        client = checkout.plugin_module("sama_launch").running()
        if client is not None:
            client.shutdown()
        if time.monotonic() > deadline:
            raise InstallError(
                "The running engine (a Python process, sama_core.service) does not end. End it and run this again."
            )
        time.sleep(0.2)


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("r+b") as file:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
