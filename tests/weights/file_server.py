"""A real HTTP server on loopback that serves one file, well or badly: a list of behaviours, one for each request."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
#: Of 127.0.0.1, signed by itself, made for these tests and valid until 2125.
CERTIFICATE, KEY = HERE / "loopback.crt", HERE / "loopback.key"


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered.

    Attributes:
        status: of a refusal; 0 serves the file.
        headers: sent in addition, or in place of the usual ones.
        ranges: honour Range.
        body: sent in place of the file.
        length: Content-Length stated in place of the true one; -1 states none.
        drop_after: bytes of the body after which the connection is cut; None sends all.
        hang: keep the connection open without a byte more instead of cutting it.
        delay: seconds between blocks of 16 KiB.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    body: bytes | None = None
    length: int | None = None
    drop_after: int | None = None
    hang: bool = False
    delay: float = 0.0


GOOD = Behaviour()


class FileServer:
    """Serves `content` at every path; requests beyond the listed behaviours get the last one.

    Attributes:
        requests: method, path and headers (lower case) of what was asked, in order.
    """

    def __init__(self, content: bytes, *behaviours: Behaviour, etag: str = '"v1"', tls: bool = False) -> None:
        self.content, self.etag = content, etag
        self.behaviours = list(behaviours) or [GOOD]
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE, KEY)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/"

    @property
    def asked_ranges(self) -> list[str]:
        return [headers.get("range", "") for _, _, headers in self.requests]

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers))
                number = min(len(outer.requests), len(outer.behaviours)) - 1
                self.close_connection = True
                outer._answer(self, outer.behaviours[number], headers)

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, how: Behaviour, asked: dict[str, str]) -> None:
        content = self.content if how.body is None else how.body
        start, status = 0, how.status or 200
        usual = {"ETag": self.etag, "Connection": "close"}
        if how.status == 0 and how.ranges and "range" in asked and asked.get("if-range", self.etag) == self.etag:
            start, status = int(asked["range"].removeprefix("bytes=").rstrip("-")), 206
            usual["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                status = 416
        body = content[start:] if how.status == 0 else b"refused"
        if how.length != -1:
            usual["Content-Length"] = str(len(body) if how.length is None else how.length)
        handler.send_response(status)
        for name, value in {**usual, **how.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        self._send(handler, body if how.drop_after is None else body[: how.drop_after], how.delay)
        if how.hang:
            self._ended.wait()

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, delay: float) -> None:
        write: Callable[[bytes], object] = handler.wfile.write
        for begin in range(0, len(body), 1 << 14):
            try:
                write(body[begin : begin + (1 << 14)])
            except OSError:
                return
            if delay and self._ended.wait(delay):
                return


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited a minute in vain for {what}")
        time.sleep(0.02)
