"""The engine's log: where the doctor says it is, not without end, and nothing in it that is the user's."""

from __future__ import annotations

import base64
import stat
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from engine_process import EngineStarter, RunningEngine

from sama_core import paths

CLICK = {"points": [[3.25, 4.75]], "labels": [1]}
LOG_BYTES = 20_000


@pytest.fixture(scope="module")
def busy_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningEngine, np.ndarray, np.ndarray]]:
    """An engine that has met everything it logs, often enough to fill its log several times; a picture and a mask."""
    starter = EngineStarter(tmp_path_factory.mktemp("busy"))
    engine = starter(SAMA_TEST_LOG_BYTES=str(LOG_BYTES))
    random = np.random.default_rng(11)
    picture = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    mask = random.integers(100, 256, (30, 40), dtype=np.uint8)
    name = engine.upload(picture)
    for _ in range(30):
        for model in ("small", "broken", "hungry", "refusing", "leaving"):
            engine.job("select", zlib.compress(mask.tobytes()), image=name, model=model, box=[1, 1, 9, 9], **CLICK)
        engine.job("matte", image=name, model="small", points=[[-3.25, 4]], labels=[1])
        engine.request("PUT", f"/v1/images/{'0' * 64}", picture.tobytes(), {"X-Width": "40", "X-Height": "30"})
        engine.request("GET", "/v1/hello", headers={"Authorization": f"Bearer {engine.state['token']}x"})
        engine.raw(f"NONSENSE {engine.state['token']}\r\n".encode() + picture.tobytes() + b"\r\n\r\n")
        engine.start_job("matte", image=name, model="small", **CLICK).close()
    yield engine, picture, mask
    starter.end_all()


def test_log_rotates_and_holds_neither_pictures_nor_masks_nor_the_token(busy_engine, monkeypatch):
    engine, picture, mask = busy_engine
    monkeypatch.setenv("SAMA_HOME", str(engine.home))
    files = sorted(paths.log_file().parent.glob("engine.log*"))
    assert [file.name for file in files] == ["engine.log", "engine.log.1", "engine.log.2"]
    for file in files:
        assert file.stat().st_size <= LOG_BYTES
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = b"".join(file.read_bytes() for file in files)
    assert b"ValueError: secret detail" in text, "what went wrong is there"
    assert engine.state["token"].encode() not in text
    for array in (picture, mask):
        data = array.tobytes()
        for written in _written(data) + _written(zlib.compress(data)):
            assert written not in text, written


def _written(data: bytes) -> list[bytes]:
    """The ways in which some of these bytes could stand in a text, at several places of them."""
    found = []
    for at in range(0, min(len(data), 3000) - 12, 3):
        piece = data[at : at + 12]
        found += [piece, base64.b64encode(piece), base64.urlsafe_b64encode(piece), piece[:6].hex().encode()]
        found += [
            repr(piece)[2:-1].encode(),
            repr(list(piece[:5]))[1:-1].encode(),
            str(np.frombuffer(piece[:5], "u1"))[1:-1].encode(),
        ]
    return found


def test_pieces_of_pictures_are_recognised():
    data = bytes(range(200, 240))
    for line in (
        base64.b64encode(data),
        data.hex().encode(),
        repr(data).encode(),
        repr(list(data)).encode(),
        b"x" + data,
    ):
        assert any(written in line for written in _written(data))


def test_the_log_is_found_by_the_one_place_that_says_where_it_is(busy_engine, monkeypatch):
    engine, *_ = busy_engine
    monkeypatch.setenv("SAMA_HOME", str(engine.home))
    assert paths.log_file().read_text() == engine.log != ""
