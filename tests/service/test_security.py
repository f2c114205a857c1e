"""What docs/security.md promises of a running engine: where it listens, who may read it, what a web page gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from engine_process import RunningEngine
from test_hostile_clients import status

LISTENING = "0A"


def listening_sockets(pid: int) -> list[str]:
    """The addresses at which a process listens, as /proc/net has them: hexadecimal ADDRESS:PORT."""
    inodes = set()
    for place in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(place.readlink())):
            inodes.add(found[1])
    addresses = []
    for family in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == LISTENING or family.startswith("udp")):
                addresses.append(fields[1])
    return addresses


def test_the_engine_listens_on_loopback_and_nowhere_else(engine: RunningEngine):
    assert listening_sockets(engine.process.pid) == [f"0100007F:{engine.port:04X}"]


def test_nobody_else_may_read_what_the_engine_writes(engine: RunningEngine, picture):
    """Whatever the user's own umask is, and of folders that were open before."""
    engine.release()
    job = engine.job(image=engine.upload(picture), model="waiting", box=[0, 0, 9, 9])
    assert job.last["event"] == "answer" and engine.record == ["started 0", "finished 0"]
    for path in {engine.home, *engine.home.rglob("*")} - {engine.home / "release"}:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("path", ["/v1/hello", "/v1/select", "/v1/shutdown"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_web_page_in_the_users_browser_gets_nowhere(shared_engine: RunningEngine, path: str, method: str):
    """It can send requests to 127.0.0.1, with any path and body, but it has no token and is told nothing."""
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{shared_engine.port}\r\nOrigin: https://example.org\r\n"
        "Sec-Fetch-Site: cross-site\r\nAccess-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization\r\nAccess-Control-Request-Private-Network: true\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    answer = shared_engine.raw(request.encode())
    assert status(answer) == 401
    assert b"access-control" not in answer.lower()
    assert shared_engine.hello()["pid"] == shared_engine.process.pid


def test_a_name_that_is_rebound_to_this_machine_gets_nowhere(shared_engine: RunningEngine):
    """DNS rebinding makes a page's own name point here, so that to the browser all is one origin; Host tells."""
    request = (
        f"GET /v1/hello HTTP/1.1\r\nHost: rebound.example:{shared_engine.port}\r\n"
        f"Authorization: {shared_engine.auth['Authorization']}\r\n\r\n"
    )
    assert status(shared_engine.raw(request.encode())) == 403
