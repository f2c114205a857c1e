"""A package index on this computer whose connections break, for what the installer downloads."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Index:
    """Serves the files of a folder, and an index of the packages in it.

    Attributes:
        breaks_after: bytes after which a connection for a file breaks that has more, once for each number in the list.
        ranges: the `Range` of every request for a file, None for none.
        ignores_ranges: send all of a file whatever is asked for.
        sent: the names of the files that the installer itself has got whole, in their order.
        lost_after: give the installer no more files after so many; None for no such limit.

    What is planned for `breaks_after` and `lost_after` holds for the installer's own requests: pip looks into packages
    before it, how often and how far is up to its version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.breaks_after: list[int] = []
        self.ranges: list[str | None] = []
        self.ignores_ranges = False
        self.sent: list[str] = []
        self.lost_after: int | None = None
        self.hang = threading.Event()
        self.hang.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()

    def add_wheel(self, name: str, version: str, needs: tuple[str, ...] = (), content: bytes = b"") -> Path:
        """Put a wheel of one module with `content` beside it into the folder."""
        file = self.folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
        lines += [f"Requires-Dist: {need}\n" for need in needs]
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f'__version__ = "{version}"\n')
            wheel.writestr(f"{name}/content", content)
            wheel.writestr(f"{info}/METADATA", "".join(lines))
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return file

    def _page(self, package: str) -> bytes:
        links = []
        for file in self.folder.glob("*.whl"):
            if file.name.split("-")[0].replace("_", "-") == package:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                facts = hashlib.sha256(metadata(file)).hexdigest()
                links.append(
                    f'<a href="/files/{file.name}#sha256={digest}" data-core-metadata="sha256={facts}" '
                    f'data-dist-info-metadata="sha256={facts}">{file.name}</a>'
                )
        return ("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>").encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                # The sign before the name of a build, as in 2.9.0+cpu.
                kind, _, name = self.path.strip("/").replace("%2B", "+").partition("/")
                if kind == "simple":
                    self.answer(200, index._page(name.strip("/")), "text/html")
                elif kind == "files" and name.endswith(".metadata"):
                    self.answer(200, metadata(index.folder / name[: -len(".metadata")]))
                elif kind == "files" and (index.folder / name).is_file() and not self.is_lost():
                    self.send_file((index.folder / name).read_bytes())
                    if self.is_the_installers():
                        index.sent.append(name)
                else:
                    self.answer(404, b"")

            def is_the_installers(self) -> bool:
                return self.command == "GET" and not self.headers.get("User-Agent", "").startswith("pip/")

            def is_lost(self) -> bool:
                return self.is_the_installers() and index.lost_after is not None and len(index.sent) >= index.lost_after

            def answer(self, status: int, body: bytes, kind: str = "application/octet-stream") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def send_file(self, body: bytes) -> None:
                if self.command == "HEAD":
                    self.answer(200, body)
                    return
                asked = self.headers.get("Range")
                index.ranges.append(asked)
                start = int(asked.split("=")[1].rstrip("-")) if asked and not index.ignores_ranges else 0
                if start and start >= len(body):
                    self.answer(416, b"")
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.end_headers()
                if self.is_the_installers() and index.breaks_after and index.breaks_after[0] < len(body) - start:
                    self.wfile.write(body[start : start + index.breaks_after.pop(0)])
                    self.wfile.flush()
                    # Where a test wants it, the connection stays open and silent instead of breaking.
                    index.hang.wait()
                    self.close_connection = True
                    return
                self.wfile.write(body[start:])

        return Handler


def metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as content:
        return content.read(next(name for name in content.namelist() if name.endswith("/METADATA")))
