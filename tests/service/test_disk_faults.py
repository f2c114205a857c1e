"""Faults of the disk under SAMA_HOME, with real processes on a real file system of a few megabytes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_process import PATIENCE, ROOT
from small_disk import SmallDisk
from test_faults import works
from user_desk import Desk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    disk = SmallDisk(home, 4 * 2**20)
    yield disk
    disk.end()


@pytest.fixture
def desk(tmp_path: Path, disk: SmallDisk) -> Iterator[Desk]:
    desk = Desk(tmp_path, disk)
    yield desk
    desk.end()


def test_disk_full(desk: Desk, disk: SmallDisk, fault):
    fault(
        "disk full when the engine is to write its log and its state", "error with a remedy; works when there is room"
    )
    disk.fill()
    outcome = desk.run()
    assert outcome.status == "execution_error" and "is full. Free some space on it" in outcome.message, outcome
    assert not desk.processes() and not desk.drafts()
    disk.make_room()
    fault.saw(f"“{outcome.message}”", works(desk))


def test_disk_becomes_full(desk: Desk, disk: SmallDisk, fault):
    fault("disk full while the engine runs", "answers as ever")
    works(desk)
    disk.fill()
    fault.saw(works(desk))


def test_read_only_home(desk: Desk, disk: SmallDisk, fault):
    fault("home is read-only", "error with a remedy; works when it is writable")
    disk.remount("ro")
    outcome = desk.run()
    assert outcome.status == "execution_error" and "cannot be written (Read-only file system)" in outcome.message
    assert "Make it writable" in outcome.message and not desk.processes()
    disk.remount("rw")
    fault.saw(f"“{outcome.message}”", works(desk))


DOWNLOAD = """
import sys
from pathlib import Path
from sama_core.weights.download import DownloadError, RemoteFile, download
url, size, sha256, target = sys.argv[1:]
try:
    download(RemoteFile((url,), int(size), sha256), Path(target))
except DownloadError as error:
    sys.exit(str(error))
"""


class Publisher(http.server.ThreadingHTTPServer):
    """Publishes `content`, and stops half-way until `go_on` is set."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), PublishingHandler)
        self.content = content
        self.half_way, self.go_on = threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights"


class PublishingHandler(http.server.BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        content, half = self.server.content, len(self.server.content) // 2
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may go in the middle
            self.wfile.write(content[:half])
            self.server.half_way.set()
            self.server.go_on.wait(PATIENCE)
            self.wfile.write(content[half:])

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_disk_becomes_full_in_a_download(tmp_path: Path, fault):
    fault("disk full while weights are downloaded", "error with a remedy; the next try brings the right file")
    content = random.Random(3).randbytes(6_000_000)
    folder = tmp_path / "weights"
    folder.mkdir()
    # The downloader leaves 64 MiB free for other programs.
    disk, publisher = SmallDisk(folder, 80 * 2**20), Publisher(content)
    try:
        target, digest = folder / "model.bin", hashlib.sha256(content).hexdigest()
        command = [*disk.prefix, sys.executable, "-c", DOWNLOAD, publisher.url, str(len(content)), digest, str(target)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SAMA_HOME": str(tmp_path / "home")}
        first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert publisher.half_way.wait(PATIENCE)
        disk.fill()
        publisher.go_on.set()
        _, message = first.communicate(timeout=PATIENCE)
        assert first.returncode == 1 and "The disk is full" in message and "Make room and run it again" in message
        assert not (disk.inside / "model.bin").exists()
        disk.make_room()
        subprocess.run(command, env=environment, check=True, timeout=PATIENCE)
        assert [path.name for path in disk.inside.iterdir()] == ["model.bin"]
        assert (disk.inside / "model.bin").read_bytes() == content
    finally:
        publisher.shutdown()
        publisher.server_close()
        disk.end()
    message = message.strip().replace(str(folder), "SAMA_HOME/weights")
    fault.saw(f"“{message}”", "Next try: the whole, right file, and no part of it left.")
