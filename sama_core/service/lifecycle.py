"""An engine's life: the lock that makes it the only one, the state file by which it is found, and its end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from sama_core import __version__, paths
from sama_core.errors import EngineUnavailable
from sama_core.files import FileLock, remove_stale_drafts
from sama_core.inference import compile_caches
from sama_core.service import PROTOCOL
from sama_core.service.log_file import open_log

if TYPE_CHECKING:
    from pathlib import Path

    from sama_core.service.engines import EnginePool

log = logging.getLogger(__name__)

DEFAULT_IDLE_SECONDS = 900.0

#: Seconds to wait for an engine that is just starting (it will write its state file) or just leaving (it will
#: release its lock): without it a client that comes at that moment would be left without an engine.
LOCK_PATIENCE = 8.0

#: Seconds for which a held lock may be a client's glance at it, which takes no longer than a system call.
GLANCE = 0.25

#: Seconds for the worker to end after its job was told to.
WORKER_PATIENCE = 2.0


def become_the_engine() -> FileLock | None:
    """Return the lock, or None when another engine lives.

    Returns None soon when the other one can be found by its state file. While there is none, it is
    starting or leaving: then this waits for one or the other.

    Raises:
        OSError: the folder or the stale state file in it cannot be used.
    """
    lock = FileLock(paths.lock_file())
    began = time.monotonic()
    while not lock.acquire():
        waited = time.monotonic() - began
        if waited > LOCK_PATIENCE or (waited > GLANCE and paths.state_file().exists()):
            return None
        time.sleep(0.05)
    # What a killed engine left: from now on the lock is held, and clients would take it for this engine's.
    paths.state_file().unlink(missing_ok=True)
    return lock


class StateFile:
    """`run/engine.json`: written whole, for its owner only, kept as it is, and removed at the end."""

    def __init__(self, path: Path, port: int, token: str) -> None:
        self._path = path
        self._written: tuple[int, int, int] | None = None
        self._complained = False
        self._state: dict[str, Any] = {
            "schema": 1,
            "protocol": PROTOCOL,
            "port": port,
            "token": token,
            "pid": os.getpid(),
            "version": __version__,
            "started": time.time(),
        }

    def write(self) -> None:
        """Put the file in place; a reader sees the old one or the new one, never a part.

        Raises:
            OSError: it cannot be written; nothing is left behind.
        """
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._state, file)
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._written = self._signature()

    def restore(self) -> None:
        """Write the file again if it was edited or deleted: without it nobody could find, or replace, this engine."""
        if self._written is None or self._signature() == self._written:
            return
        try:
            self.write()
        except OSError as error:
            # Tried again with each call; said once.
            if not self._complained:
                log.warning("the state file was changed and cannot be written again: %s", error)
            self._complained = True
        else:
            self._complained = False
            log.warning("the state file had been changed or removed; it is written again")

    def remove(self) -> None:
        """Remove the file; its lock makes it this engine's, whatever somebody has written into it."""
        self._written = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.info("state file not removed: %s", error)

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def idle_seconds() -> float:
    """Return `$SAMA_IDLE_SECONDS`, or the default when it is not a positive number."""
    text = os.environ.get("SAMA_IDLE_SECONDS", "")
    try:
        seconds = float(text) if text else DEFAULT_IDLE_SECONDS
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        log.warning("SAMA_IDLE_SECONDS=%r is not a positive number: using %g", text, DEFAULT_IDLE_SECONDS)
        return DEFAULT_IDLE_SECONDS
    return seconds


def serve(engines: EnginePool, detached: bool) -> int:
    """Be the engine until told to stop or idle; return the process's exit status.

    Args:
        engines: the models to serve.
        detached: started by a program, not at a terminal: survive its hang-up, print to the log.

    Raises:
        EngineUnavailable: the product's folder cannot be used.
        OSError: no port can be opened, or the disk is full.
    """
    os.umask(0o077)
    try:
        paths.make_home()
        paths.state_file().parent.mkdir(mode=0o700, exist_ok=True)
        paths.state_file().parent.chmod(0o700)
        lock = become_the_engine()
        if lock is None:
            if not detached:
                print("An engine is already running.", file=sys.stderr)
            return 0
        compile_caches.prepare_inductor()
        if detached and hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        open_log(paths.log_file(), detached)
    except OSError as error:
        raise EngineUnavailable(
            f"SAMA's folder {paths.home()} cannot be used ({error.strerror or error}). "
            "Make it a folder that you can write to, with some room on its disk."
        ) from error
    remove_stale_drafts()
    try:
        worker_ended = _run(engines, lock)
    except Exception:
        log.exception("the engine cannot go on")
        raise
    finally:
        lock.release()
    logging.shutdown()
    if not worker_ended:
        # Ending the interpreter under a thread that is computing in native code can crash, and there is nothing
        # left to clean up.
        os._exit(0)
    return 0


def _run(engines: EnginePool, lock: FileLock) -> bool:
    from sama_core.service.app import EngineApp, error_response
    from sama_core.service.jobs import JobQueue
    from sama_core.service.security import Gate
    from sama_core.service.server import Activity, EngineServer, loopback_socket

    token = secrets.token_urlsafe(32)
    listener = loopback_socket()
    port = listener.getsockname()[1]
    state = StateFile(paths.state_file(), port, token)
    activity = Activity()
    jobs = JobQueue()
    worker_ended = False

    def listening() -> None:
        state.write()
        log.info("engine %s listens on port %d, pid %d", __version__, port, os.getpid())

    def each_second() -> None:
        if lock.is_in_place():
            state.restore()
        else:
            log.warning("the lock file was removed, so that another engine may start: leaving")
            server.stop()

    def ending() -> None:
        nonlocal worker_ended
        # First, so that no client comes to an engine that is about to leave.
        if lock.is_in_place():
            state.remove()
        worker_ended = jobs.close(WORKER_PATIENCE)

    app = EngineApp(engines, jobs, stop=lambda: server.stop())
    gate = Gate(app.routes(), token, port, error_response, activity)
    server = EngineServer(gate, activity, idle_seconds(), listening, each_second, ending)
    asyncio.run(server.serve(sockets=[listener]))
    log.info("engine ended")
    return worker_ended
