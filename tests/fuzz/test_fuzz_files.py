"""The engine's state file, the installation record, and what answers at the engine's port, damaged or made up."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import assert_helpful, mutated

from gimp_plugin.sama_select.sama import client as plugin_client
from gimp_plugin.sama_select.sama import launch, state
from gimp_plugin.sama_select.sama.errors import ExecutionError, PluginError
from sama_core.cli import checks
from sama_core.errors import EngineUnavailable
from sama_core.files import FileLock
from sama_core.service import client

# Nobody listens at port 1: whoever gets as far as connecting is refused at once.
STATE = {"schema": 1, "protocol": 1, "port": 1, "token": "t" * 43, "pid": 1, "version": "0.1.0", "started": 1.5}
RECORD = {"schema": 1, "python": "/no/python", "args": ["-m", "sama_core.service"], "version": "0.1.0"}
HELLO = {"protocol": 1, "version": "0.1.0", "pid": 1, "device": "cpu", "models": ["lite"], "stats": {"encodes": 0}}
EVENTS = (
    b'{"event": "queued", "ahead": 1}\n{"event": "progress", "fraction": 0.35, "text": "Finding the edge"}\n'
    b'{"event": "answer", "width": 2, "height": 3, "score": 0.9, "notes": ["a"], "device": "cpu", '
    b'"seconds": {"encode": 0.1}, "alpha_bytes": 6, "foreground_bytes": 18}\n' + bytes(24)
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([70000, -1, 0, 10**400, "a\nb", "ü", "\ud800", "\0", [], {}, ["\0"], [1], "/bin/true"]),
)


def damaged(content: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Bytes close to the JSON of `content`: edited as bytes, with other values, or nested without end."""
    other = st.fixed_dictionaries({}, optional=dict.fromkeys([*content, "more"], VALUES))
    return st.one_of(
        mutated(json.dumps(content).encode()),
        other.map(lambda values: json.dumps({**content, **values}).encode()),
        st.binary(max_size=60),
        st.sampled_from([b"[" * 60_000, b'{"port":' + b"9" * 5000 + b"}", b"", b"\xff\xfe", b"[]", b"null", b"1e999"]),
    )


@pytest.fixture
def home(tmp_path, monkeypatch) -> Iterator[Path]:
    """SAMA_HOME, with the engine's lock held: what nobody's engine has written is not read at all."""
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    monkeypatch.setenv("GIMP3_DIRECTORY", str(tmp_path / "profile"))
    state.state_file().parent.mkdir()
    lock = FileLock(state.lock_file())
    assert lock.acquire()
    yield tmp_path
    lock.release()


def test_state_files(home):
    path = state.state_file()

    @given(damaged(STATE))
    @example(json.dumps({**STATE, "port": 70000}).encode())
    @example(json.dumps({**STATE, "port": float("inf")}).encode())
    @example(json.dumps({**STATE, "token": "Bücher"}).encode())
    @example(json.dumps({**STATE, "token": "a\r\nX-More: 1"}).encode())
    def read(content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(EngineUnavailable) as refused:
            client.find_engine()
        assert_helpful(refused.value)
        assert launch.running() is None
        for check in checks.check_engine():
            assert check.ok or check.remedy

    read()


def test_installation_records(home):
    path = state.install_record()

    @given(damaged(RECORD))
    @example(json.dumps({**RECORD, "python": "/bin/\0true"}).encode())
    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            command = launch.install_command()
        except ExecutionError as error:
            assert len(str(error)) < 1000
        else:
            assert command and all(isinstance(word, str) and "\0" not in word for word in command)
        for check in checks.check_install_record():
            assert check.ok or check.remedy

    read()


def test_manifests(home):
    @given(damaged({"files": ["/a/plug-ins/sama_select/sama_select.py"], "schema": 1}))
    def read(content: bytes) -> None:
        (home / "manifest.json").write_bytes(content)
        for check in checks.check_plug_ins():
            assert check.ok or check.remedy

    read()


@pytest.mark.parametrize("reader", [client.find_engine, launch.running, launch.install_command])
def test_a_pipe_in_a_file_s_place_is_not_waited_for(home, reader: Callable[[], Any]):
    os.mkfifo(state.state_file())
    os.mkfifo(state.install_record())
    try:
        assert reader() is None
    except (EngineUnavailable, PluginError) as error:
        assert "not a file" in str(error)


class _Response(io.BytesIO):
    status = 200


@given(mutated(EVENTS) | st.binary(max_size=80).map(lambda line: line + b"\n"))
@example(b"[" * 60_000 + b"\n")
@example(EVENTS.replace(b'"ahead": 1', b'"ahead": 1e999'))
@example(EVENTS.replace(b'"width": 2', b'"width": 2000000').replace(b'"alpha_bytes": 6', b'"alpha_bytes": 6000000'))
@example(b"x" * 5_000_000)
def test_answers_that_are_none(data):
    class Scripted(plugin_client.Client):
        def _connect(self, seconds):
            return _Connection(data)

    try:
        answer = Scripted(1, "t").ask("select", {}, b"", lambda fraction, text: None)
    except PluginError as error:
        # What an error event says is passed on as it is.
        assert b'"error"' in data or 20 < len(str(error)) < 1000
    else:
        assert len(answer.alpha) == answer.width * answer.height > 0


class _Connection:
    """Stands for the socket: what the engine's end says is the example."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def request(self, *_args, **_kwargs) -> None:
        pass

    def getresponse(self) -> _Response:
        return _Response(self._data)

    def close(self) -> None:
        pass


@given(st.sampled_from([200, 404, 413, 422, 500]), damaged({"code": "unknown_image", "message": "Gone. Send it."}))
def test_refusals_that_say_nothing(status, body):
    error = plugin_client.refusal(status, body)
    assert isinstance(error, (PluginError, plugin_client.UnknownImage)) and str(error) is not None
