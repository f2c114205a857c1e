"""docs/protocol.md, sentence by sentence, against a real engine process."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from engine_process import read_stream

from sama_core import __version__

CLICK = {"points": [[3.5, 4]], "labels": [1]}


def expected_alpha(rgb: np.ndarray, extra: int | np.ndarray) -> bytes:
    return ((rgb.sum(axis=2) + extra) % 256).astype(np.uint8).tobytes()


def test_hello(engine):
    hello = engine.hello()
    assert hello == {
        "protocol": 1,
        "version": __version__,
        "pid": engine.process.pid,
        "device": "cpu",
        "models": hello["models"],
        # the stand-ins need no weights
        "installed": hello["models"],
        "stats": {"encodes": 0, "jobs": 0, "uploads": 0},
    }
    assert "small" in hello["models"]


def test_image_travels_once(engine, picture):
    name = hashlib.sha256(b"40x30:" + picture.tobytes()).hexdigest()
    assert engine.request("GET", f"/v1/images/{name}")[0] == 404
    engine.upload(picture, name)
    assert engine.request("GET", f"/v1/images/{name}") == (204, {})
    for _ in range(2):
        assert engine.job(image=name, model="small", **CLICK).last["event"] == "answer"
    assert engine.hello()["stats"] == {"encodes": 1, "jobs": 2, "uploads": 1}


def test_select_answers_alpha(engine, picture):
    answer = engine.job(image=engine.upload(picture), model="small", **CLICK)
    assert answer.status == 200
    assert answer.content_type == "application/x-sama-stream"
    assert answer.last == {
        "event": "answer",
        "width": 40,
        "height": 30,
        "score": 0.5,
        "notes": ["made by a small engine"],
        "device": "cpu",
        "seconds": {"encode": 0.25},
        "alpha_bytes": 1200,
        "foreground_bytes": 0,
    }
    assert answer.payload == expected_alpha(picture, 1)


def test_progress_rises_and_loading_is_reported_once(engine, picture):
    name = engine.upload(picture)
    first, second = (engine.job(image=name, model="small", **CLICK).events for _ in range(2))
    fractions = [event["fraction"] for event in first if event["event"] == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] > 0
    assert "Loading the model" in [event.get("text") for event in first]
    assert "Loading the model" not in [event.get("text") for event in second]


def test_matte_answers_foreground_only_when_asked(engine, picture):
    name = engine.upload(picture)
    plain = engine.job("matte", image=name, model="small", **CLICK)
    assert (plain.last["foreground_bytes"], plain.payload) == (0, expected_alpha(picture, 1))
    full = engine.job("matte", image=name, model="small", decontaminate=True, **CLICK)
    assert full.last["foreground_bytes"] == 3600
    assert full.payload == expected_alpha(picture, 1) + (255 - picture).tobytes()


def test_the_method_of_a_matte_reaches_the_engine(engine, picture):
    name = engine.upload(picture)
    answer = engine.job("matte", image=name, model="small", method="head", **CLICK)
    assert answer.payload == (255 - np.frombuffer(expected_alpha(picture, 1), np.uint8)).tobytes()


def test_box_and_mask_reach_the_engine(engine, picture):
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 6:20] = 200
    mask[9:12] = 127  # not inside: the threshold is above 127
    packed = zlib.compress(mask.tobytes())
    answer = engine.job("select", packed, image=engine.upload(picture), model="small", box=[1, 2, 30, 20])
    assert answer.payload == expected_alpha(picture, 10 + 100 * (mask > 127))


def test_large_answer_arrives_whole(engine):
    picture = np.random.default_rng(3).integers(0, 256, (2100, 2000, 3), dtype=np.uint8)
    answer = engine.job("matte", image=engine.upload(picture), model="small", decontaminate=True, **CLICK)
    assert answer.payload == expected_alpha(picture, 1) + (255 - picture).tobytes()


def test_wide_and_one_pixel_images(engine):
    for shape in ((1, 1, 3), (1, 60_000, 3), (60_000, 1, 3)):
        picture = np.full(shape, 9, np.uint8)
        answer = engine.job(image=engine.upload(picture), model="small", points=[[0.5, 0.5]], labels=[1])
        assert answer.payload == expected_alpha(picture, 1)


def test_several_requests_on_one_connection(engine, picture):
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/v1/hello", headers=engine.auth)
        response = connection.getresponse()
        assert json.loads(response.read())["protocol"] == 1
    name = engine.upload(picture)
    connection.request(
        "POST",
        "/v1/select",
        json.dumps({"image": name, "model": "small", **CLICK}).encode() + b"\n",
        engine.auth,
    )
    assert read_stream(connection).payload == expected_alpha(picture, 1)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"image": "0" * 64, **CLICK}, 404, "unknown_image"),
        ({"image": "short", **CLICK}, 400, "malformed"),
        ({"image": None, **CLICK}, 400, "malformed"),
        ({**CLICK, "model": "gigantic"}, 422, "unknown_model"),
        ({**CLICK, "model": 5}, 400, "malformed"),
        ({**CLICK, "colour": "red"}, 400, "malformed"),
        ({**CLICK, "decontaminate": 1}, 400, "malformed"),
        ({**CLICK, "method": "magic"}, 400, "malformed"),
        ({**CLICK, "mask": True}, 400, "malformed"),
        ({}, 422, "invalid_prompt"),
        ({"points": [[1, 1]], "labels": [0]}, 422, "invalid_prompt"),
        ({"points": [[1, 1]], "labels": []}, 422, "invalid_prompt"),
        ({"points": [[1, 1]], "labels": [2]}, 422, "invalid_prompt"),
        ({"points": [[1, 1]], "labels": [True]}, 422, "invalid_prompt"),
        ({"points": [[41, 1]], "labels": [1]}, 422, "invalid_prompt"),
        ({"points": [[float("nan"), 1]], "labels": [1]}, 422, "invalid_prompt"),
        ({"points": [[10**400, 1]], "labels": [1]}, 400, "malformed"),
        ({"points": [[1, 1]] * 257, "labels": [1] * 257}, 422, "invalid_prompt"),
        ({"points": [[1]], "labels": [1]}, 400, "malformed"),
        ({"points": [1, 1], "labels": [1]}, 400, "malformed"),
        ({"points": "11", "labels": [1]}, 400, "malformed"),
        ({"points": [["1", 1]], "labels": [1]}, 400, "malformed"),
        ({"box": [1, 2, 3]}, 400, "malformed"),
        ({"box": [1, 2, 3, float("inf")]}, 422, "invalid_prompt"),
        ({"box": [100, 100, 200, 200]}, 422, "invalid_prompt"),
    ],
)
def test_bad_job_is_refused_before_the_stream(shared_engine, picture, fields, status, code):
    before = shared_engine.hello()["stats"]["jobs"]
    answer = shared_engine.job(**{"image": shared_engine.upload(picture), "model": "small", **fields})
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.last["code"] == code
    assert answer.last["message"].endswith(".")
    assert shared_engine.hello()["stats"]["jobs"] == before


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"no json\n", b"[]\n", b'"text"\n', b"{}", b"[" * 60_000 + b"\n", b"\xff\xfe\n"]
)
def test_first_line_that_is_no_json_object_is_malformed(shared_engine, line):
    status, body = shared_engine.request("POST", "/v1/select", line)
    assert (status, body["code"]) == (400, "malformed")


def test_first_line_without_an_end_is_malformed(shared_engine):
    status, body = shared_engine.request("POST", "/v1/select", b" " * 10_000_000)
    assert (status, body["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    "data",
    [
        b"no zlib",
        zlib.compress(bytes(1199)),
        zlib.compress(bytes(1201)),
        zlib.compress(bytes(1200))[:-1],
        zlib.compress(bytes(1200)) + b"more",
        zlib.compress(bytes(200_000)),
    ],
)
def test_mask_that_does_not_unpack_to_the_image_s_size_is_malformed(shared_engine, picture, data):
    answer = shared_engine.job("select", data, image=shared_engine.upload(picture), model="small")
    assert (answer.status, answer.last["code"]) == (400, "malformed")


def test_mask_bomb_is_not_unpacked(engine, picture):
    bomb = zlib.compress(bytes(700_000_000), 9)  # 680 kB, more than any mask of this picture can take
    answer = engine.job("select", bomb, image=engine.upload(picture), model="small")
    assert (answer.status, answer.last["code"]) == (413, "too_large")
    large = np.zeros((1000, 1000, 3), np.uint8)
    answer = engine.job("select", bomb, image=engine.upload(large), model="small")
    assert (answer.status, answer.last["code"]) == (400, "malformed")
    status = Path(f"/proc/{engine.process.pid}/status").read_text()
    [peak_kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    assert int(peak_kilobytes) < 400_000


def test_empty_mask_is_an_invalid_prompt(shared_engine, picture):
    answer = shared_engine.job("select", zlib.compress(bytes(1200)), image=shared_engine.upload(picture), model="small")
    assert (answer.status, answer.last["code"]) == (422, "invalid_prompt")


@pytest.mark.parametrize(
    ("width", "height", "length", "status", "code"),
    [
        ("40", "30", 3600, 422, "invalid_image"),  # the pixels do not match the name
        ("40", "30", 3599, 400, "malformed"),
        ("0", "30", 0, 422, "invalid_image"),
        ("-40", "-30", 3600, 400, "malformed"),
        ("4e1", "30", 3600, 400, "malformed"),
        ("٤٠", "30", 3600, 400, "malformed"),
        ("", "", 3600, 400, "malformed"),
        ("60001", "1", 180003, 413, "too_large"),
        ("12000", "12000", 30, 413, "too_large"),
        ("9" * 40, "1", 30, 400, "malformed"),
    ],
)
def test_bad_upload_is_refused(shared_engine, width, height, length, status, code):
    headers = {"X-Width": width.encode().decode("latin-1"), "X-Height": height}
    before = shared_engine.hello()["stats"]["uploads"]
    answer = shared_engine.request("PUT", f"/v1/images/{'0' * 64}", bytes(length), headers)
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert shared_engine.hello()["stats"]["uploads"] == before


def test_upload_under_an_impossible_name_is_malformed(shared_engine, picture):
    size = {"X-Width": "40", "X-Height": "30"}
    status, body = shared_engine.request("PUT", "/v1/images/picture", picture.tobytes(), size)
    assert (status, body["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_path"),
        ("GET", "/v2/hello", 404, "unknown_path"),
        ("GET", "/v1/hello/", 404, "unknown_path"),
        ("GET", "/v1/images/../hello", 404, "unknown_path"),
        ("POST", "/v1/hello", 405, "method_not_allowed"),
        ("GET", "/v1/select", 405, "method_not_allowed"),
        ("DELETE", "/v1/images/" + "0" * 64, 405, "method_not_allowed"),
        ("OPTIONS", "/v1/select", 405, "method_not_allowed"),
    ],
)
def test_unknown_paths_and_methods(shared_engine, method, path, status, code):
    answer = shared_engine.request(method, path, b"")
    assert (answer[0], answer[1]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("model", "code", "text"),
    [
        ("broken", "error", "engine.log"),
        ("hungry", "device", "memory"),
        ("refusing", "device", "There is no such device. Choose another."),
        ("leaving", "error", "engine.log"),
    ],
)
def test_failing_job_is_an_error_event_and_the_engine_lives_on(shared_engine, picture, model, code, text):
    name = shared_engine.upload(picture)
    failed = shared_engine.job(image=name, model=model, **CLICK)
    assert failed.status == 200
    assert (failed.last["event"], failed.last["code"], failed.last["status"]) == ("error", code, 500)
    assert text in failed.last["message"]
    assert "secret" not in failed.last["message"]
    assert failed.payload == b""
    assert shared_engine.job(image=name, model="small", **CLICK).last["event"] == "answer"


def test_unexpected_failure_is_in_the_log(engine, picture):
    engine.job(image=engine.upload(picture), model="broken", **CLICK)
    assert "ValueError: secret detail" in engine.log
    assert engine.state["token"] not in engine.log


def test_client_reads_why_it_was_refused_although_it_sent_a_large_body_first(shared_engine):
    noise = np.random.default_rng(1).bytes(20_000_000)
    answer = shared_engine.job("select", noise, image="0" * 64, model="small")
    assert (answer.status, answer.last["code"]) == (404, "unknown_image")
