"""One job at a time, in order, and none for a client that has gone."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from engine_process import PATIENCE, EngineStarter, RunningEngine, read_stream, wait_for


def clicks(job: int) -> dict[str, Any]:
    """A prompt of as many clicks as the job's number: by it the waiting model names the job in its record."""
    return {"points": [[1, 1]] * job, "labels": [1] * job, "model": "waiting"}


class Events:
    """The events of one stream, read as they come."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        assert self._response.status == 200

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self._response.readline():
            yield json.loads(line)

    def until(self, **wanted: Any) -> dict[str, Any]:
        """Return the first event that has these values."""
        for event in self:
            if wanted.items() <= event.items():
                return event
        raise AssertionError(f"the stream ended without {wanted}")

    def hang_up(self) -> None:
        self._response.close()
        self._connection.close()


@pytest.fixture
def busy(engine: RunningEngine, picture: np.ndarray) -> tuple[RunningEngine, str, Events]:
    """An engine that is in the middle of job 1, the image's name, and job 1's events."""
    name = engine.upload(picture)
    running = Events(engine.start_job(image=name, **clicks(1)))
    running.until(text="Waiting")
    return engine, name, running


def test_jobs_are_done_one_at_a_time_in_order(busy):
    engine, name, first = busy
    second = Events(engine.start_job(image=name, **clicks(2)))
    second.until(event="queued", ahead=1)
    third = Events(engine.start_job(image=name, **clicks(3)))
    third.until(event="queued", ahead=2)
    assert engine.record == ["started 1"]
    engine.release()
    first.until(event="answer")
    third.until(event="queued", ahead=1)
    second.until(event="answer")
    third.until(event="answer")
    assert engine.record == [f"{what} {job}" for job in (1, 2, 3) for what in ("started", "finished")]


def test_job_that_need_not_wait_is_not_told_of_a_queue(engine, picture):
    stream = engine.job(image=engine.upload(picture), model="small", points=[[1, 1]], labels=[1])
    assert {event["event"] for event in stream.events} == {"progress", "answer"}


def test_waiting_job_is_dropped_with_its_client(busy):
    engine, name, _ = busy
    second = Events(engine.start_job(image=name, **clicks(2)))
    second.until(event="queued", ahead=1)
    third = Events(engine.start_job(image=name, **clicks(3)))
    third.until(event="queued", ahead=2)
    second.hang_up()
    third.until(event="queued", ahead=1)
    engine.release()
    third.until(event="answer")
    assert "started 2" not in engine.record


def test_running_job_is_dropped_with_its_client(busy):
    engine, name, first = busy
    second = Events(engine.start_job(image=name, **clicks(2)))
    second.until(event="queued", ahead=1)
    first.hang_up()
    second.until(text="Waiting")
    assert engine.record == ["started 1", "cancelled 1", "started 2"]
    engine.release()
    second.until(event="answer")


def test_client_that_is_killed_counts_as_gone(engine, picture):
    """GIMP's Cancel kills the plug-in: the connection ends with a reset in the middle of a line."""
    name = engine.upload(picture)
    connection = engine.start_job(image=name, **clicks(1))
    wait_for(lambda: engine.record == ["started 1"], "the job to start")
    assert isinstance(connection.sock, socket.socket)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    wait_for(lambda: engine.record == ["started 1", "cancelled 1"], "the job to be dropped")


def test_client_that_goes_while_its_answer_is_sent_harms_nobody(engine):
    picture = np.zeros((3000, 3000, 3), np.uint8)
    name = engine.upload(picture)
    for _ in range(3):
        click = {"points": [[1, 1]], "labels": [1], "decontaminate": True}
        stream = Events(engine.start_job("matte", image=name, model="small", **click))
        stream.until(event="answer")
        stream.hang_up()
    answer = engine.job(image=name, model="small", points=[[1, 1]], labels=[1])
    assert len(answer.payload) == 9_000_000


def test_client_that_goes_while_uploading_harms_nobody(engine, picture):
    head = (
        f"PUT /v1/images/{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\n"
        f"Authorization: {engine.auth['Authorization']}\r\n"
        "X-Width: 40\r\nX-Height: 30\r\nContent-Length: 3600\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", engine.port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + bytes(1000))
    engine.upload(picture)
    assert engine.hello()["stats"]["uploads"] == 1


def test_two_clients_get_their_own_answers(engine):
    rng = np.random.default_rng(5)
    pictures = [rng.integers(0, 256, (200 + 10 * n, 300, 3), dtype=np.uint8) for n in range(2)]
    answers: dict[int, list[bytes]] = {0: [], 1: []}

    def client(n: int) -> None:
        name = engine.upload(pictures[n])
        for _ in range(5):
            stream = engine.job(image=name, model="small", points=[[1, 1]], labels=[1])
            answers[n].append(stream.payload)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for n, picture in enumerate(pictures):
        assert answers[n] == [((picture.sum(axis=2) + 1) % 256).astype(np.uint8).tobytes()] * 5
    assert engine.hello()["stats"]["jobs"] == 10


def test_shutdown_ends_running_and_waiting_jobs_with_an_error(busy):
    engine, name, first = busy
    second = engine.start_job(image=name, **clicks(2))
    wait_for(lambda: engine.hello()["stats"]["jobs"] == 2, "the second job to be accepted")
    engine.request("POST", "/v1/shutdown")
    assert first.until(event="error")["code"] == "cancelled"
    last = read_stream(second).last
    assert (last["event"], last["code"]) == ("error", "cancelled")
    assert engine.process.wait(PATIENCE) == 0
    assert "started 2" not in engine.record


def test_killed_engine_ends_the_stream_without_an_answer_and_the_next_one_works(
    busy: tuple[RunningEngine, str, Events], start_engine: EngineStarter, picture: np.ndarray
):
    engine, _, first = busy
    engine.process.kill()
    assert {event["event"] for event in first} <= {"progress"}
    successor = start_engine(home=engine.home)
    name = successor.upload(picture)
    assert successor.job(image=name, model="small", points=[[1, 1]], labels=[1]).last["event"] == "answer"
