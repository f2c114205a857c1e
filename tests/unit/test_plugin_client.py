"""The wire format from the client's side, against real sockets that answer byte for byte what the test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from gimp_plugin.sama_select.sama import launch
from gimp_plugin.sama_select.sama.client import Client, EngineGone, HelloFailed, OtherProtocol, UnknownImage
from gimp_plugin.sama_select.sama.errors import CallingError, ExecutionError
from gimp_plugin.sama_select.sama.job import Job, Pixels, Timing, ask_engine, run_in_thread
from gimp_plugin.sama_select.sama.prompt import Prompt


class Server:
    """Answers one connection after the other with the bytes given, then hangs up."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answers: list[bytes] = []
        self.heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.heard.append(self._request(connection))
                connection.sendall(self.answers.pop(0) if self.answers else b"")

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.socket.close()


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body)), **{key.replace("_", "-"): value for key, value in headers.items()}}
    head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def stream(*events: dict, after: bytes = b"", end: bool = True, piece: int = 7) -> bytes:
    """A chunked answer in pieces that respect neither lines nor the border between JSON and pixels."""
    body = b"".join(json.dumps(event).encode() + b"\n" for event in events) + after
    chunks = [body[i : i + piece] for i in range(0, len(body), piece)]
    data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + (b"0\r\n\r\n" if end else b"")
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data


def answer(width: int, height: int, foreground: int = 0, **more) -> dict:
    sizes = {"alpha_bytes": width * height, "foreground_bytes": foreground}
    return {"event": "answer", "width": width, "height": height, "score": 0.9, "notes": ["n"], **sizes, **more}


def silent(fraction, text):
    pass


def test_hello_carries_the_token(server: Server):
    server.answers = [http(200, b'{"protocol": 1, "device": "cpu"}')]
    assert Client(server.port, "secret").hello()["device"] == "cpu"
    assert b"Authorization: Bearer secret" in server.heard[0]
    assert b"Host: 127.0.0.1:%d" % server.port in server.heard[0]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (http(401, b'{"code": "token", "message": "no"}'), HelloFailed),
        (http(200, b"<html>"), HelloFailed),
        (http(200, b"[1]"), HelloFailed),
        (http(200, b'{"protocol": 2}'), OtherProtocol),
        (b"SSH-2.0-OpenSSH\r\n", HelloFailed),
        (b"", HelloFailed),
    ],
)
def test_hello_of_something_else(server: Server, said: bytes, error: type[Exception]):
    server.answers = [said]
    with pytest.raises(error):
        Client(server.port, "t").hello()


def test_nobody_there():
    # bound but not listening: nobody else can take the port, and a connection is refused
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(EngineGone):
            Client(unheard.getsockname()[1], "t").hello()


def test_no_proxy_is_asked(server: Server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers = [http(200, b'{"protocol": 1}')]
    assert Client(server.port, "t").hello() == {"protocol": 1}


def test_an_answer_in_pieces(server: Server):
    alpha, colours = bytes(range(12)), bytes(range(36))
    events = [
        {"event": "queued", "ahead": 2},
        {"event": "progress", "fraction": 0.25, "text": "Looking"},
        {"event": "of a later version"},
        answer(4, 3, 36, device="cpu", seconds={"encode": 1.5}),
    ]
    server.answers = [stream(*events, after=alpha + colours)]
    said = []
    got = Client(server.port, "t").ask("matte", {"image": "i"}, b"MASK", lambda *event: said.append(event))
    assert (got.alpha, got.foreground) == (alpha, colours)
    assert (got.width, got.height, got.score, got.notes, got.device) == (4, 3, 0.9, ["n"], "cpu")
    assert got.seconds == {"encode": 1.5}
    assert said == [(None, "Waiting for 2 other job(s)"), (0.25, "Looking")]
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/matte HTTP/1.1\r\n")
    assert body == b'{"image": "i"}\nMASK'


STOPPED = "stopped in the middle of the job. Run the command again"


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"", ExecutionError, STOPPED),
        (stream({"event": "queued", "ahead": 0}), ExecutionError, STOPPED),
        (stream({"event": "progress", "fraction": 0.1, "text": ""}, end=False), ExecutionError, STOPPED),
        (stream(answer(4, 3), after=bytes(11)), ExecutionError, STOPPED),
        (stream(answer(4, 3), after=bytes(5), end=False), ExecutionError, STOPPED),
        (stream(answer(4, 3, 36), after=bytes(12)), ExecutionError, STOPPED),
        (stream(answer(4, 3, alpha_bytes=11), after=bytes(11)), ExecutionError, "does not fit together"),
        (stream({"no": "event"}), ExecutionError, STOPPED),
        (http(200, b"garbage\n"), ExecutionError, STOPPED),
        (stream({"event": "error", "code": "c", "status": 422, "message": "Bad. Mend."}), CallingError, "^Bad. Mend.$"),
        (
            stream({"event": "error", "code": "c", "status": 500, "message": "Sad. Wait."}),
            ExecutionError,
            "^Sad. Wait.$",
        ),
        (http(422, b'{"code": "invalid_prompt", "message": "No. Yes."}'), CallingError, "^No. Yes.$"),
        (http(413, b'{"code": "too_large", "message": "Big. Crop."}'), CallingError, "^Big. Crop.$"),
        (http(500, b"<html>"), ExecutionError, "HTTP 500"),
        (http(404, b'{"code": "unknown_image", "message": "m"}'), UnknownImage, "m"),
        (http(404, b'{"code": "unknown_path", "message": "m"}'), ExecutionError, "m"),
    ],
)
def test_answers_that_are_none(server: Server, said: bytes, error: type[Exception], text: str):
    server.answers = [said]
    with pytest.raises(error, match=text):
        Client(server.port, "t").ask("select", {"image": "i"}, b"", silent)


def test_pixels_travel_as_they_are(server: Server):
    server.answers = [http(204)]
    Client(server.port, "t").put_image("abc", 3, 2, [b"123456789", b"abcdefghi"])
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/images/abc HTTP/1.1\r\n")
    assert b"X-Width: 3\r\nX-Height: 2\r\nContent-Length: 18\r\n" in head
    assert body == b"123456789abcdefghi"


def test_a_refused_picture(server: Server):
    server.answers = [http(413, b'{"code": "too_large", "message": "Too big. Make it smaller."}')]
    with pytest.raises(CallingError, match="Too big"):
        Client(server.port, "t").put_image("abc", 3, 2, [bytes(18)])


# The whole job: which requests are made, in which order.

JOB = Job("select", Pixels(4, 3, [bytes(36)], "f00d"), Prompt([(1.0, 1.0)], [1]), "lite")
UNKNOWN = http(404, b'{"code": "unknown_image", "message": "Send it."}')
RAMP = stream(answer(4, 3), after=bytes(range(12)))


@pytest.fixture
def job(server: Server, monkeypatch):
    """Run the job with the engine already found."""
    monkeypatch.setattr(launch, "connect", lambda report: Client(server.port, "t"))
    return lambda job=JOB: ask_engine(job, silent, Timing())


def verbs(server: Server) -> list[bytes]:
    return [request.split(b" HTTP")[0] for request in server.heard]


def test_a_known_image_is_not_sent(server: Server, job):
    server.answers = [RAMP]
    assert job().alpha == bytes(range(12))
    assert verbs(server) == [b"POST /v1/select"]


def test_an_unknown_image_is_sent_and_the_question_asked_again(server: Server, job):
    server.answers = [UNKNOWN, http(204), RAMP]
    assert job().alpha == bytes(range(12))
    assert verbs(server) == [b"POST /v1/select", b"PUT /v1/images/f00d", b"POST /v1/select"]


def test_an_engine_that_forgets_for_ever_is_given_up(server: Server, job):
    server.answers = [UNKNOWN, http(204)] * 2 + [UNKNOWN]
    with pytest.raises(ExecutionError, match="short of memory"):
        job()


def test_an_answer_for_another_picture_is_refused(server: Server, job):
    server.answers = [stream(answer(3, 4), after=bytes(12))]
    with pytest.raises(ExecutionError, match="3×4 instead of 4×3"):
        job()


def test_missing_foreground_colours_are_refused(server: Server, job):
    server.answers = [RAMP]
    with pytest.raises(ExecutionError, match="no foreground colours"):
        job(JOB._replace(verb="matte", decontaminate=True))


def test_an_engine_that_has_just_left_is_looked_for_again(server: Server, monkeypatch):
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    clients = [Client(port, "t"), Client(server.port, "t")]
    monkeypatch.setattr(launch, "connect", lambda report: clients.pop(0))
    server.answers = [RAMP]
    assert ask_engine(JOB, silent, Timing()).alpha == bytes(range(12))


def test_reports_come_in_the_calling_thread_and_errors_are_raised_there():
    threads, idle = set(), []

    def work(report):
        report(0.5, "half")
        raise CallingError("No. Yes.")

    with pytest.raises(CallingError, match="No"):
        run_in_thread(work, lambda fraction, text: threads.add(threading.get_ident()), lambda: idle.append(1))
    assert threads <= {threading.get_ident()}
    assert idle


def test_a_report_reaches_the_caller_while_the_work_goes_on():
    heard, go_on = [], threading.Event()

    def work(report):
        report(0.5, "half")
        go_on.wait(10)
        return "done"

    def hear(fraction, text):
        heard.append((fraction, text))
        go_on.set()

    assert run_in_thread(work, hear, lambda: None) == "done"
    assert heard == [(0.5, "half")]
