"""A stand-in for the engine whose answer is known byte by byte: a soft ramp with all 256 levels of alpha.

The real engine is tested from end to end elsewhere; exactness of what the plug-in writes can only be tested against an
alpha that is known. It is started the real way, by the command in install.json, and speaks docs/protocol.md.

It keeps a diary in SAMA_HOME/requests.jsonl and takes orders from SAMA_HOME/orders.json, read at each request:
    hold            after the first progress event, wait for as long as the file says so
    fail            end the stream with this error event: {"code": ..., "status": ..., "message": ...}
    truncate        send only half of the alpha, then hang up
    forget          hold no image for longer than one question
    shift           add this to the alpha, modulo 256: another answer than before
    hello           merged into the answer to hello
    only            the process id that all of this is for, if not for whoever reads it
Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOME = Path(os.environ.get("SAMA_HOME", "."))


def ramp(width: int, height: int) -> bytes:
    """The alpha of every answer, width·height bytes: (x + 3y) mod 256."""
    row = bytes(range(256)) * (width // 256 + 2)
    return b"".join(row[(3 * y) % 256 :][:width] for y in range(height))


def foreground(width: int, height: int) -> bytes:
    """The foreground colours of every matte, width·height·3 bytes: (200, x mod 256, y mod 256)."""
    return b"".join(bytes((200, x % 256, y % 256)) for y in range(height) for x in range(width))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        if not self._authorized():
            return
        if self.path == "/v1/hello":
            told = {
                "protocol": 1,
                "version": "0.1.0",
                "pid": os.getpid(),
                "device": "cpu",
                "models": ["lite"],
            }
            self._json(200, {**told, "stats": self.server.stats, **orders().get("hello", {})})
        else:
            self._empty(204 if self.path.rsplit("/", 1)[1] in self.server.images else 404)

    def do_PUT(self) -> None:
        if not self._authorized():
            return
        data = self.rfile.read(int(self.headers["Content-Length"]))
        width, height = int(self.headers["X-Width"]), int(self.headers["X-Height"])
        identity = hashlib.sha256(f"{width}x{height}:".encode() + data).hexdigest()
        if identity != self.path.rsplit("/", 1)[1] or len(data) != width * height * 3:
            return self._json(422, {"code": "invalid_image", "message": "The hash does not match."})
        self.server.images[identity] = (width, height, data)
        self.server.stats["uploads"] += 1
        self._empty(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._authorized():
            return
        if self.path == "/v1/shutdown":
            self._empty(204)
            self.server.state.unlink()
            os._exit(0)
        line, _, packed = body.partition(b"\n")
        request = json.loads(line)
        if request["image"] not in self.server.images:
            return self._json(404, {"code": "unknown_image", "message": "Send the pixels."})
        if request["model"] != "lite":
            return self._json(422, {"code": "unknown_model", "message": "There is no such model. Use lite."})
        self.server.stats["jobs"] += 1
        *size, pixels = self.server.images[request["image"]]
        (HOME / "last-image.rgb").write_bytes(pixels)
        if orders().get("forget"):
            del self.server.images[request["image"]]
        diary = {**request, "verb": self.path.rsplit("/", 1)[1], "size": size}
        if request.get("mask"):
            mask = zlib.decompress(packed)
            diary["mask_length"] = len(mask)
            (HOME / "last-mask.bin").write_bytes(mask)
        with (HOME / "requests.jsonl").open("a") as file:
            file.write(json.dumps(diary) + "\n")
        self._stream(request, *size)

    def _stream(self, request: dict, width: int, height: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-sama-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event({"event": "queued", "ahead": 0})
        self._event({"event": "progress", "fraction": 0.5, "text": "Making a ramp"})
        (HOME / "working").touch()
        while orders().get("hold"):
            time.sleep(0.02)
        if orders().get("fail"):
            self._event({"event": "error", **orders()["fail"]})
        else:
            shift = orders().get("shift", 0)
            alpha = ramp(width, height).translate(bytes((value + shift) % 256 for value in range(256)))
            colours = foreground(width, height) if request.get("decontaminate") else b""
            answer = {"event": "answer", "width": width, "height": height, "score": 0.75, "device": "cpu"}
            sizes = {"alpha_bytes": len(alpha), "foreground_bytes": len(colours)}
            self._event({**answer, **sizes, "notes": ["A ramp."], "seconds": {"encode": 0.0}})
            if orders().get("truncate"):
                self._chunk(alpha[: len(alpha) // 2])
                self.wfile.flush()
                return self.connection.shutdown(socket.SHUT_RDWR)
            self._chunk(alpha)
            self._chunk(colours)
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, event: dict) -> None:
        self._chunk(json.dumps(event).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
            self.wfile.flush()

    def _authorized(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.server.token}":
            return True
        self._json(401, {"code": "token", "message": "Wrong token."})
        return False

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, status: int, answer: dict) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, flush=True)


class Engine(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.images: dict[str, tuple[int, int, bytes]] = {}
        self.stats = {"encodes": 0, "jobs": 0, "uploads": 0}
        self.token = secrets.token_hex(16)
        self.state = HOME / "run" / "engine.json"

    def announce(self) -> None:
        state = {"schema": 1, "protocol": 1, "port": self.server_address[1], "token": self.token}
        state.update(pid=os.getpid(), version="0.1.0", started=time.time())
        part = self.state.with_suffix(".part")
        part.write_text(json.dumps(state))
        part.chmod(0o600)
        part.rename(self.state)


def orders() -> dict:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((HOME / "orders.json").read_text())
        return found if found.get("only", os.getpid()) == os.getpid() else {}
    return {}


def main() -> None:
    (HOME / "run").mkdir(mode=0o700, exist_ok=True)
    with (HOME / "run" / "engine.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(0)
        engine = Engine()
        engine.announce()
        if "SAMA_IDLE_SECONDS" in os.environ:
            threading.Timer(float(os.environ["SAMA_IDLE_SECONDS"]), os._exit, (0,)).start()
        engine.serve_forever()


if __name__ == "__main__":
    main()
