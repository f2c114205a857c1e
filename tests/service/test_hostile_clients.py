"""Requests that a well-behaved client never makes, as raw bytes. The engine answers, and lives on."""

from __future__ import annotations

import re
import socket

import pytest
from engine_process import PATIENCE, RunningEngine


def head(engine: RunningEngine, line: str, *headers: str, token: str | None = None, host: str | None = None) -> bytes:
    token = engine.state["token"] if token is None else token
    host = f"127.0.0.1:{engine.port}" if host is None else host
    return "\r\n".join([line, f"Host: {host}", f"Authorization: Bearer {token}", *headers, "", ""]).encode()


def status(answer: bytes) -> int:
    match = re.match(rb"HTTP/1.1 (\d{3}) ", answer)
    assert match, answer[:200]
    return int(match[1])


@pytest.fixture
def engine(shared_engine):
    """Whatever one test does to it, the next one finds it in good health."""
    return shared_engine


@pytest.fixture(autouse=True)
def engine_lives_on(engine):
    yield
    assert engine.hello()["pid"] == engine.process.pid
    assert engine.process.poll() is None


@pytest.mark.parametrize("line", ["GET /v1/hello HTTP/1.1", "POST /v1/shutdown HTTP/1.1", "GET /secret HTTP/1.1"])
@pytest.mark.parametrize(
    "authorization",
    ["", "Authorization: Bearer\r\n", "Authorization: Bearer wrong\r\n", "Authorization: Bearer caf\xe9\r\n"],
)
def test_without_the_token_everything_is_401(engine, line, authorization):
    request = f"{line}\r\nHost: 127.0.0.1:{engine.port}\r\n{authorization}Content-Length: 0\r\n\r\n"
    answer = engine.raw(request.encode("latin-1"))
    assert status(answer) == 401
    assert b'"code": "unauthorized"' in answer


def test_token_in_another_scheme_is_401(engine):
    request = head(engine, "GET /v1/hello HTTP/1.1").replace(b"Bearer", b"Basic")
    assert status(engine.raw(request)) == 401


def test_part_of_the_token_is_401(engine):
    assert status(engine.raw(head(engine, "GET /v1/hello HTTP/1.1", token=engine.state["token"][:-1]))) == 401


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "127.0.0.1.evil:{port}"]
)
def test_other_hosts_are_403_even_with_the_token(engine, host):
    answer = engine.raw(head(engine, "GET /v1/hello HTTP/1.1", host=host.format(port=engine.port)))
    assert status(answer) == 403


def test_localhost_is_as_good_as_the_address(engine):
    request = head(engine, "GET /v1/hello HTTP/1.1", "Connection: close", host=f"localhost:{engine.port}")
    assert status(engine.raw(request)) == 200


def test_no_cors_headers_are_sent(engine):
    request = head(engine, "GET /v1/hello HTTP/1.1", "Origin: https://example.org", "Connection: close")
    assert b"access-control" not in engine.raw(request).lower()


@pytest.mark.parametrize("line", ["PUT /v1/images/" + "0" * 64 + " HTTP/1.1", "POST /v1/select HTTP/1.1"])
@pytest.mark.parametrize("length", [10 * 10**9, 10**18])
def test_ten_gigabytes_are_refused_unread(engine, line, length):
    """The body never comes: the engine must answer from the head alone."""
    answer = engine.raw(head(engine, line, "X-Width: 40", "X-Height: 30", f"Content-Length: {length}"))
    assert status(answer) == 413
    assert b'"code": "too_large"' in answer


def test_engine_hangs_up_on_a_refused_body_that_comes_all_the_same(engine):
    request = head(engine, "PUT /v1/images/" + "0" * 64 + " HTTP/1.1", f"Content-Length: {10**10}")
    with socket.create_connection(("127.0.0.1", engine.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall(bytes(1_000_000))


@pytest.mark.parametrize("line", ["PUT /v1/images/" + "0" * 64 + " HTTP/1.1", "POST /v1/matte HTTP/1.1"])
@pytest.mark.parametrize(
    "headers", [[], ["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"]]
)
def test_body_without_a_length_is_411(engine, line, headers):
    answer = engine.raw(head(engine, line, "X-Width: 40", "X-Height: 30", *headers) + b"5\r\nhello\r\n0\r\n\r\n")
    assert status(answer) == 411


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS greeting
        b"GET /v1/hello HTTP/1.1\r\n\r\n",  # no Host
        b"GET /v1/hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/hello HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n",
        b"\xff" * 1000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000,
    ],
)
def test_garbage_is_400(engine, data):
    assert status(engine.raw(data)) == 400


@pytest.fixture
def impatient_engine(start_engine, tmp_path):
    return start_engine(home=tmp_path / "impatient", SAMA_TEST_LIMITS='{"HEAD_TIMEOUT": 0.5, "READ_TIMEOUT": 0.5}')


def test_many_silent_connections_do_not_keep_a_client_out_for_ever(impatient_engine):
    """They take all places; the engine hangs up on each that does not send a request head in time."""
    idle = [socket.create_connection(("127.0.0.1", impatient_engine.port), timeout=PATIENCE) for _ in range(80)]
    try:
        assert idle[0].recv(1) == b""
    finally:
        for connection in idle:
            connection.close()


def test_head_that_comes_byte_by_byte_is_given_up(impatient_engine):
    with socket.create_connection(("127.0.0.1", impatient_engine.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /v1/he")
        assert connection.recv(1) == b""


def test_half_a_request_after_a_whole_one_is_given_up(impatient_engine):
    with socket.create_connection(("127.0.0.1", impatient_engine.port), timeout=PATIENCE) as connection:
        connection.sendall(head(impatient_engine, "GET /v1/hello HTTP/1.1"))
        answer = connection.recv(65536)
        while not answer.endswith(b"}}"):
            answer += connection.recv(65536)
        connection.sendall(b"GET /v1/he")
        assert connection.recv(1) == b""


def test_upload_that_stops_is_given_up(impatient_engine):
    size = ["X-Width: 40", "X-Height: 30", "Content-Length: 3600"]
    request = head(impatient_engine, "PUT /v1/images/" + "0" * 64 + " HTTP/1.1", *size)
    assert status(impatient_engine.raw(request + bytes(100))) == 408


def test_web_socket_upgrade_is_no_way_in(engine):
    request = head(
        engine,
        "GET /v1/hello HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
    )
    assert status(engine.raw(request + b"garbage\r\n\r\n")) in (200, 400)


def test_request_for_another_protocol_version_s_path_traversal(engine):
    for path in ("/v1/images/..%2f..%2fetc%2fpasswd", "/v1/images/%00", "//v1/hello", "/v1/%68ello/x"):
        assert status(engine.raw(head(engine, f"GET {path} HTTP/1.1"))) == 404


@pytest.mark.parametrize("token", [None, "wrong"])
def test_garbage_behind_a_request_is_one_refusal_and_no_failure(engine, token):
    """Found by fuzzing: the answer to the request met a connection that had been answered for the garbage already."""
    for _ in range(20):
        answer = engine.raw(head(engine, "GET /v1/hello HTTP/1.1", token=token) + b"\x00garbage\r\n\r\n")
        assert status(answer) in (200, 400, 401)
    assert "Traceback" not in engine.log
