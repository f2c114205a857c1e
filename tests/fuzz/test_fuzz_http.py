"""Bytes on the socket of a real engine process: an answer that docs/protocol.md knows, or a closed connection."""

from __future__ import annotations

import http.client
import json
import re
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_process import PATIENCE, SMALL_ENGINE, EngineStarter, RunningEngine, wait_for
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import MAX_MESSAGE, mutated

from sama_core.images import image_id

PICTURE = np.random.default_rng(7).integers(0, 256, (30, 40, 3), dtype=np.uint8)
NAME = image_id(PICTURE)
CLICK = {"image": NAME, "model": "small", "points": [[3.5, 4]], "labels": [1]}
MASK = zlib.compress(bytes(600) + b"\xff" * 600)
DOCUMENTED = {200, 204, 400, 401, 403, 404, 405, 408, 411, 413, 422}
#: A picture of the largest size would need more.
MOST_MEMORY = 400 * 2**20


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Iterator[RunningEngine]:
    """An engine with the limits it has for users."""
    yield from _well(EngineStarter(tmp_path_factory.mktemp("http")))


@pytest.fixture(scope="module")
def hasty_engine(tmp_path_factory) -> Iterator[RunningEngine]:
    """An engine that soon hangs up on whoever leaves a request unfinished, so that no example waits for long."""
    limits = json.dumps({"HEAD_TIMEOUT": 0.15, "READ_TIMEOUT": 0.15, "KEEP_ALIVE": 0})
    yield from _well(EngineStarter(tmp_path_factory.mktemp("hasty")), SAMA_TEST_LIMITS=limits)


def _well(starter: EngineStarter, **environment: str) -> Iterator[RunningEngine]:
    """An engine process that is in good health when all examples are through."""
    running = starter(SMALL_ENGINE, None, **environment)
    wait_for(lambda: _works(running), "the first answer")
    yield running
    wait_for(lambda: _works(running), "an answer after all that")
    assert running.process.poll() is None
    logs = "".join(path.read_text() for path in (running.home / "logs").iterdir())
    assert not re.findall(r"[^\n]*\nTraceback.*?(?=\n\d{4}-|\Z)", logs, re.DOTALL)
    assert running.state["token"] not in logs
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    assert int(peak) * 1024 < MOST_MEMORY
    starter.end_all()


def _works(engine: RunningEngine) -> bool:
    """Whether an ordinary job is done; a hasty engine may find this client too slow on a crowded machine."""
    try:
        engine.upload(PICTURE)
        return engine.job(**CLICK).last.get("event") == "answer"
    except (OSError, http.client.HTTPException, AssertionError):
        return False


def _request(engine: RunningEngine, line: str, headers: list[tuple[str, Any]], body: bytes = b"") -> bytes:
    lines = [line, f"Host: 127.0.0.1:{engine.port}", f"Authorization: Bearer {engine.state['token']}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def _seeds(engine: RunningEngine) -> list[bytes]:
    job = json.dumps(CLICK).encode() + b"\n"
    masked = json.dumps({**CLICK, "mask": True, "decontaminate": True}).encode() + b"\n" + MASK
    pixels = PICTURE.tobytes()
    size = [("X-Width", 40), ("X-Height", 30), ("Content-Length", len(pixels))]
    return [
        _request(engine, "GET /v1/hello HTTP/1.1", []),
        _request(engine, f"GET /v1/images/{NAME} HTTP/1.1", []),
        _request(engine, f"PUT /v1/images/{NAME} HTTP/1.1", size, pixels),
        _request(engine, "POST /v1/select HTTP/1.1", [("Content-Length", len(job))], job),
        _request(engine, "POST /v1/matte HTTP/1.1", [("Content-Length", len(masked))], masked),
        _request(
            engine,
            "POST /v1/select HTTP/1.1",
            [("Transfer-Encoding", "chunked")],
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(job), job),
        ),
    ]


def _statuses(engine: RunningEngine, data: bytes) -> list[int]:
    """Send bytes and return the statuses of the answers, one for each request in them."""
    answer = b""
    with socket.create_connection(("127.0.0.1", engine.port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    if answer:
        assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert set(found) <= DOCUMENTED, (found, answer[:300])
    for text in re.findall(rb'\{"code": .*\}', answer):
        error = json.loads(text)
        assert 10 < len(error["message"]) <= MAX_MESSAGE and error["message"].endswith("."), error
    return found


def test_seeds_are_requests(engine):
    # answers are read to the end of the connection, which this engine would keep for half a minute
    closing = [seed.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) for seed in _seeds(engine)]
    assert [_statuses(engine, seed)[0] for seed in closing] == [200, 204, 204, 200, 200, 411]


def test_requests_with_damage(hasty_engine):
    seeds = _seeds(hasty_engine)

    @given(st.sampled_from(seeds).flatmap(mutated))
    def send(data: bytes) -> None:
        _statuses(hasty_engine, data)

    send()


METHODS = st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "CONNECT", "get", "", "G" * 5000])
TARGETS = st.sampled_from(
    [
        "/v1/hello",
        f"/v1/images/{NAME}",
        "/v1/images/" + "x" * 64,
        "/v1/select",
        "/v1/matte",
        "*",
        "//",
        "/v1/images/%zz",
    ]
) | st.text(st.characters(codec="latin-1"), max_size=10)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Content-Length",
                "Transfer-Encoding",
                "X-Width",
                "X-Height",
                "Expect",
                "Upgrade",
                "Connection",
                "Host",
                "X",
            ]
        ),
        st.sampled_from(
            ["0", "1", "-1", "3600", "1e3", "²", "99999999999999999999", "4, 4", "chunked", "gzip", "100-continue"]
        )
        | st.sampled_from(["websocket", "close", "keep-alive", "40", "30", "60001", "x" * 20_000, "\x00", "a\r\nb: c"])
        | st.text(st.characters(codec="latin-1"), max_size=10),
    ),
    max_size=6,
)
BODIES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b"[" * 60_000 + b"\n", b"{" * 70_000, b"\n" * 500, b"{}\n" + MASK, PICTURE.tobytes()]),
)


def test_requests_of_odd_parts(hasty_engine):
    # Found by fuzzing: the answer to a request met a connection already answered for the garbage behind it.
    @example("GET", "/v1/hello", "HTTP/1.1", [], b"\x00garbage\r\n\r\n")
    @given(METHODS, TARGETS, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/9.9", ""]), HEADERS, BODIES)
    @example("PUT", f"/v1/images/{NAME}", "HTTP/1.1", [("Content-Length", 384_000_000), ("X-Width", 1)], b"")
    def send(method: str, target: str, version: str, headers: list[tuple[str, Any]], body: bytes) -> None:
        _statuses(hasty_engine, _request(hasty_engine, f"{method} {target} {version}", headers, body))

    send()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)
FIELDS = ["image", "model", "points", "labels", "box", "mask", "decontaminate", "method", "more"]


def test_jobs_of_odd_values(engine):
    @given(
        st.sampled_from(["select", "matte"]),
        st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2),
        st.sampled_from([b"", MASK]) | mutated(MASK),
    )
    @example("select", {"points": [[1e39, 0]]}, b"")
    @example("select", {"model": "a\nb"}, b"")
    @example("select", {"a\nb": 1}, b"")
    @example("matte", {"mask": True}, zlib.compress(bytes(1_000_000)))
    def send(verb: str, fields: dict[str, Any], mask: bytes) -> None:
        answer = engine.job(verb, mask, **{**CLICK, **fields})
        assert answer.status in DOCUMENTED
        last = answer.last
        assert answer.status == 200 or (last["message"].endswith(".") and "\n" not in last["message"]), last
        if last.get("event") == "answer":
            assert len(answer.payload) == last["alpha_bytes"] + last["foreground_bytes"]

    send()


@given(data=st.binary(max_size=300))
def test_any_bytes(hasty_engine, data):
    _statuses(hasty_engine, data)
