"""The wire format of `docs/protocol.md`, seen from the client. Plain sockets on 127.0.0.1; no proxy is ever asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from dataclasses import dataclass
from typing import Callable, Iterable, List, Optional

from . import state
from .errors import CallingError, ExecutionError

PROTOCOL = 1
HELLO_SECONDS = 10
#: The longest silence within a job before the engine counts as stuck. A CPU may chew on one step for minutes.
SILENCE_SECONDS = 900
#: The largest picture an engine takes.
MAX_PIXELS, MAX_SIDE = 128_000_000, 60_000

#: Bytes of an event; the longest ones are messages of a few sentences.
_LONGEST_LINE = 1 << 20
#: What comes of reading as an event what is none.
_NO_EVENT = (ValueError, KeyError, TypeError, OverflowError, RecursionError)

#: (fraction 0..1 or None when unknown, text)
Report = Callable[[Optional[float], str], None]


class UnknownImage(Exception):
    """The engine does not hold the image (any more); its pixels must be sent."""


class EngineGone(Exception):
    """Nobody listens at the engine's address."""


class HelloFailed(Exception):
    """What listens there is no engine, is not ours, or is too busy to say hello."""


class OtherProtocol(HelloFailed):
    """It is our engine, of a version that speaks another protocol."""


@dataclass
class Answer:
    """The engine's whole answer: `alpha` is width·height bytes, `foreground` width·height·3 bytes sRGB or None."""

    width: int
    height: int
    score: float
    notes: List[str]
    device: str
    seconds: dict
    alpha: bytes
    foreground: Optional[bytes]
    #: wall-clock time that the bytes took, after the engine had finished
    receive_seconds: float


class Client:
    """One engine, by port and token; every request is a connection of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._headers = {"Authorization": "Bearer " + token}

    def hello(self, seconds: float = HELLO_SECONDS) -> dict:
        """Return the engine's self-description, waiting for it no longer than `seconds`.

        Raises:
            EngineGone: nobody listens there.
            OtherProtocol: it is ours but of another version.
            HelloFailed: it is not an engine, refuses the token, or does not answer in time.
        """
        try:
            status, body = self._exchange("GET", "/v1/hello", seconds)
        except (OSError, http.client.HTTPException) as error:
            raise HelloFailed(str(error)) from error
        try:
            described = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise HelloFailed(str(error)) from error
        if status != 200 or not isinstance(described, dict) or "protocol" not in described:
            raise HelloFailed("status %d" % status)
        if described["protocol"] != PROTOCOL:
            raise OtherProtocol(str(described["protocol"]))
        return described

    def shutdown(self) -> None:
        """Ask the engine to end; whether it does is for the caller to find out."""
        with contextlib.suppress(EngineGone, OSError, http.client.HTTPException):
            self._exchange("POST", "/v1/shutdown", HELLO_SECONDS)

    def put_image(self, image_id: str, width: int, height: int, parts: Iterable[bytes]) -> None:
        """Send the pixels: width·height·3 bytes sRGB R'G'B' u8, row-major, in any number of parts.

        Raises:
            EngineGone: nobody listens there.
            CallingError: the engine does not take this picture.
            ExecutionError: the engine failed or died.
        """
        headers = {
            "X-Width": str(width),
            "X-Height": str(height),
            "Content-Length": str(width * height * 3),
            "Content-Type": "application/octet-stream",
        }
        try:
            status, body = self._exchange("PUT", "/v1/images/" + image_id, SILENCE_SECONDS, parts, headers)
        except (OSError, http.client.HTTPException) as error:
            raise stopped() from error
        if status != 204:
            raise refusal(status, body)

    def ask(self, verb: str, request: dict, mask: bytes, report: Report) -> Answer:
        """Run one job, `verb` select or matte, and return the answer when all of it has arrived.

        Args:
            verb: "select" or "matte".
            request: the JSON line of the protocol.
            mask: the packed mask that follows it, or nothing.
            report: called as work goes on.

        Raises:
            EngineGone: nobody listens there; nothing was asked.
            UnknownImage: the engine does not hold the image named in the request.
            CallingError: the prompt or picture cannot be used.
            ExecutionError: the engine failed or died.
        """
        body = json.dumps(request).encode("ascii") + b"\n" + mask
        connection = self._connect(SILENCE_SECONDS)
        try:
            response = _send(connection, "POST", "/v1/" + verb, body, self._headers)
            if response.status != 200:
                raise refusal(response.status, response.read(1 << 16))
            return _read_stream(response, report)
        except (OSError, http.client.HTTPException, *_NO_EVENT) as error:
            raise stopped() from error
        finally:
            connection.close()

    def _exchange(self, method, path, seconds, body=None, headers=None):
        connection = self._connect(seconds)
        try:
            response = _send(connection, method, path, body, dict(self._headers, **(headers or {})))
            return response.status, response.read(1 << 20)
        finally:
            connection.close()

    def _connect(self, seconds):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.connect()
        except OSError as error:
            raise EngineGone(str(error)) from error
        return connection


def _send(connection, method, path, body, headers):
    try:
        connection.request(method, path, body=body, headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        # An engine that refuses a body early answers first and then hangs up: the answer is what matters.
        return connection.getresponse()
    return connection.getresponse()


def _read_stream(response, report):
    while True:
        line = response.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise stopped()
        event = json.loads(line.decode("utf-8"))
        kind = event["event"]
        if kind == "queued":
            report(None, "Waiting for %d other job(s)" % event["ahead"] if event["ahead"] else "Waiting")
        elif kind == "progress":
            report(float(event["fraction"]), str(event["text"]))
        elif kind == "error":
            raise _error(event.get("status", 500), str(event["message"]))
        elif kind == "answer":
            return _read_answer(response, event)


def _read_answer(response, event):
    width, height = int(event["width"]), int(event["height"])
    sizes = int(event["alpha_bytes"]), int(event["foreground_bytes"])
    if not 0 < width * height <= MAX_PIXELS or sizes[0] != width * height or sizes[1] not in (0, width * height * 3):
        raise ExecutionError(
            "The SAMA engine's answer does not fit together (%d×%d, %d and %d bytes). "
            "Install plug-in and engine again: their versions differ." % (width, height, *sizes)
        )
    began = time.perf_counter()
    alpha = response.read(sizes[0])
    foreground = response.read(sizes[1]) if sizes[1] else None
    if len(alpha) != sizes[0] or len(foreground or b"") != sizes[1]:
        raise stopped()
    return Answer(
        width=width,
        height=height,
        score=float(event.get("score", 0.0)),
        notes=[str(note) for note in event.get("notes", [])],
        device=str(event.get("device", "")),
        seconds=dict(event.get("seconds", {})),
        alpha=alpha,
        foreground=foreground,
        receive_seconds=time.perf_counter() - began,
    )


def stopped() -> ExecutionError:
    """The error for an engine that died, hung up or fell silent in the middle of something."""
    return ExecutionError(
        "The SAMA engine stopped in the middle of the job. Run the command again: a fresh engine starts by itself. "
        "If it happens again, see %s." % state.log_file()
    )


def refusal(status: int, body: bytes) -> Exception:
    """The exception for an HTTP status other than success, with the engine's own text where it gave one."""
    try:
        described = json.loads(body.decode("utf-8"))
        code, message = str(described["code"]), str(described["message"])
    except _NO_EVENT:
        code, message = "", "The SAMA engine refused the request (HTTP %d). See %s." % (status, state.log_file())
    if status == 404 and code == "unknown_image":
        return UnknownImage(message)
    return _error(status, message)


def _error(status, message):
    # 422 and 413 say that the picture or the prompt will not do: the caller's to mend. All else is the engine's.
    return CallingError(message) if status in (413, 422) else ExecutionError(message)
