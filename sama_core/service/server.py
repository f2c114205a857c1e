"""The HTTP server: uvicorn with h11 on a loopback socket, with this engine's limits and its way of ending."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sama_core.service import limits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

#: Seconds for streams to end after the jobs were told to.
GRACE = 3

#: uvicorn's own rhythm.
TICKS_A_SECOND = 10


class Activity:
    """How long the engine has been without a request.

    Counts requests in progress, as a context manager around each; used from the event loop only.
    """

    def __init__(self) -> None:
        self._in_progress = 0
        self._last = time.monotonic()

    def __enter__(self) -> None:
        self._in_progress += 1

    def __exit__(self, *_: object) -> None:
        self._in_progress -= 1
        self._last = time.monotonic()

    def idle_seconds(self) -> float:
        """Return the seconds since the last request ended, 0 while one is in progress."""
        return 0.0 if self._in_progress else time.monotonic() - self._last


def loopback_socket() -> socket.socket:
    """Return a socket bound to a free port of 127.0.0.1."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform == "win32":
        # Without this another process of the same machine could bind the same port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


class _Protocol(H11Protocol):
    """HTTP/1.1 that hangs up on a connection which does not bring a whole request head in time.

    uvicorn times only the pause between requests, so a connection that sends nothing, or a byte a minute,
    would hold its place for ever.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(limits.HEAD_TIMEOUT, self._hang_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_head():
            self._stop_timer()
        elif self._head_timer is None and self.timeout_keep_alive_task is None:
            self._head_timer = self.loop.call_later(limits.HEAD_TIMEOUT, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP; what is left of a request before them goes nowhere any more."""
        if not self._awaits_head():
            assert self.cycle is not None
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)

    def _awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hang_up(self) -> None:
        self._head_timer = None
        if self._awaits_head():
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class EngineServer(uvicorn.Server):
    """Serves until told to stop or until idle for too long.

    Args:
        app: the gate and what lies behind it.
        activity: says how long there was no request.
        idle_seconds: end after as many seconds without a request.
        on_listening: called when requests can come.
        each_second: called about once a second while the server runs.
        on_ending: called first when the server ends, while connections are still open.
    """

    def __init__(
        self,
        app: ASGIApp,
        activity: Activity,
        idle_seconds: float,
        on_listening: Callable[[], None],
        each_second: Callable[[], None],
        on_ending: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=limits.MAX_CONNECTIONS,
                timeout_keep_alive=limits.KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._activity = activity
        self._idle_seconds = idle_seconds
        self._on_listening = on_listening
        self._each_second = each_second
        self._on_ending = on_ending

    def stop(self) -> None:
        """End soon. May be called from a signal handler."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._on_listening()

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to end."""
        if self._activity.idle_seconds() >= self._idle_seconds:
            log.info("idle for %g s: leaving", self._idle_seconds)
            self.stop()
        if counter % TICKS_A_SECOND == 0:
            self._each_second()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then close."""
        self._on_ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and Ctrl+C. uvicorn's own raises the signal again before the clean-up is done."""
        names = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            names.append(signal.SIGBREAK)
        before = {name: signal.signal(name, lambda *_: self.stop()) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
