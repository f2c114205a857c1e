"""How an engine process begins, is found, stays the only one, and ends."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import stat
import time

import pytest
from engine_process import PATIENCE, SMALL_ENGINE, wait_for

from sama_core import __version__
from sama_core.errors import EngineUnavailable
from sama_core.service.client import find_engine
from sama_core.weights.registry import MODELS


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_file_says_how_to_reach_the_engine_and_is_private(engine):
    assert engine.state == {
        "schema": 1,
        "protocol": 1,
        "port": engine.state["port"],
        "token": engine.state["token"],
        "pid": engine.process.pid,
        "version": __version__,
        "started": engine.state["started"],
    }
    assert len(engine.state["token"]) >= 43
    assert mode(engine.home / "run" / "engine.json") == 0o600
    assert mode(engine.home) == 0o700
    assert mode(engine.home / "run") == 0o700
    assert mode(engine.home / "logs" / "engine.log") == 0o600


def test_existing_open_folder_is_made_private(start_engine, tmp_path):
    home = tmp_path / "open"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    start_engine(home=home)
    assert mode(home) == 0o700


def test_second_engine_leaves_with_status_0_and_the_first_goes_on(engine, start_engine):
    second = start_engine.spawn(engine.home, SMALL_ENGINE, {})
    assert second.wait(PATIENCE) == 0
    assert engine.hello()["pid"] == engine.process.pid
    assert json.loads((engine.home / "run" / "engine.json").read_text()) == engine.state


def test_of_many_engines_started_at_once_one_stays(start_engine, tmp_path):
    home = tmp_path / "home"
    processes = [start_engine.spawn(home, SMALL_ENGINE, {}) for _ in range(4)]
    wait_for(lambda: sum(process.poll() is None for process in processes) == 1, "three of four to leave")
    wait_for((home / "run" / "engine.json").exists, "the state file")
    [survivor] = [process for process in processes if process.poll() is None]
    assert json.loads((home / "run" / "engine.json").read_text())["pid"] == survivor.pid
    assert {process.returncode for process in processes if process is not survivor} == {0}


def test_engine_leaves_when_idle_and_takes_its_state_file_along(start_engine):
    engine = start_engine(SAMA_IDLE_SECONDS="1")
    assert engine.process.wait(PATIENCE) == 0
    assert not (engine.home / "run" / "engine.json").exists()


def test_refused_requests_do_not_keep_the_engine_alive(start_engine):
    engine = start_engine(SAMA_IDLE_SECONDS="1")

    def ended() -> bool:
        with contextlib.suppress(OSError):
            engine.raw(b"GET /v1/hello HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % engine.port)
        return engine.process.poll() is not None

    wait_for(ended, "the engine to leave although somebody keeps knocking")


def test_engine_does_not_leave_while_a_job_runs(start_engine, picture):
    engine = start_engine(SAMA_IDLE_SECONDS="1")
    name = engine.upload(picture)
    connection = engine.start_job(image=name, model="waiting", points=[[1, 1]], labels=[1])
    response = connection.getresponse()
    for _ in range(30):  # thirty lines of progress, 0.05 s apart, take longer than the engine may idle
        assert json.loads(response.readline())["event"] == "progress"
    assert engine.process.poll() is None
    connection.close()
    assert engine.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_ends_the_engine_cleanly(engine, name):
    engine.process.send_signal(getattr(signal, name))
    assert engine.process.wait(PATIENCE) == 0
    assert not (engine.home / "run" / "engine.json").exists()


def test_engine_survives_the_terminal_s_hang_up(engine):
    engine.process.send_signal(signal.SIGHUP)
    assert engine.hello()["pid"] == engine.process.pid


def test_sigterm_ends_an_engine_in_the_middle_of_a_job_that_reports_nothing(engine, picture):
    name = engine.upload(picture)
    connection = engine.start_job(image=name, model="deaf", points=[[1, 1]], labels=[1])
    wait_for(lambda: engine.record == ["deaf started"], "the job to start")
    engine.process.terminate()
    lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    assert lines[-1]["code"] == "cancelled"
    assert engine.process.wait(PATIENCE) == 0


def test_shutdown_request_ends_the_engine(engine):
    assert engine.request("POST", "/v1/shutdown") == (204, {})
    assert engine.process.wait(PATIENCE) == 0
    assert not (engine.home / "run" / "engine.json").exists()


def test_killed_engine_leaves_a_stale_file_that_the_next_one_replaces(engine, start_engine):
    engine.process.kill()
    engine.process.wait(PATIENCE)
    assert (engine.home / "run" / "engine.json").exists()
    successor = start_engine(home=engine.home)
    assert successor.state["token"] != engine.state["token"]
    assert successor.hello()["pid"] == successor.process.pid
    assert mode(successor.home / "run" / "engine.json") == 0o600


@pytest.mark.parametrize("edited", [None, "{}", '{"port": 1, "token": "another"}'])
def test_engine_writes_its_state_file_again_when_somebody_changed_it(engine, edited):
    path = engine.home / "run" / "engine.json"
    path.unlink() if edited is None else path.write_text(edited)
    wait_for(lambda: path.exists() and path.read_text() == json.dumps(engine.state), "the state file as it was")
    assert mode(path) == 0o600
    engine.process.terminate()
    assert engine.process.wait(PATIENCE) == 0
    assert not path.exists()


def test_engine_that_starts_removes_a_dead_ones_state_before_it_listens(start_engine, tmp_path):
    """Who finds the lock held takes the state file for the holder's."""
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True)
    (run / "engine.json").write_text('{"port": 1, "token": "old"}')
    (run / "engine.json.4711").write_text("a killed engine's draft, of today")
    old = run / "engine.json.4712"
    ahead = run / "engine.json.4713"
    for draft, days in ((old, -2), (ahead, 2)):
        draft.write_text("a killed engine's draft")
        then = time.time() + days * 86400
        os.utime(draft, (then, then))
    process = start_engine.spawn(run.parent, SMALL_ENGINE, {"SAMA_TEST_DIE_AT": "announcing"})
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert sorted(path.name for path in run.iterdir()) == ["engine.json.4711", "engine.lock"]


def test_engine_says_hello_while_the_model_is_loading(start_engine, picture, tmp_path):
    gate = tmp_path / "loaded"
    engine = start_engine(SAMA_TEST_LOAD_GATE=str(gate))
    name = engine.upload(picture)
    connection = engine.start_job(image=name, model="small", points=[[1, 1]], labels=[1])
    response = connection.getresponse()
    wait_for(lambda: json.loads(response.readline()).get("text") == "Loading the model", "the loading event")
    assert engine.hello()["stats"]["jobs"] == 1
    gate.touch()
    assert b'"event": "answer"' in response.read()
    connection.close()


def test_engine_is_deaf_on_other_addresses(engine):
    connection = http.client.HTTPConnection("127.0.0.2", engine.port, timeout=PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/v1/hello", headers=engine.auth)


def test_client_finds_the_engine(engine, monkeypatch):
    monkeypatch.setenv("SAMA_HOME", str(engine.home))
    found = find_engine()
    assert (found.port, found.token) == (engine.port, engine.state["token"])
    assert found.hello["pid"] == engine.process.pid


def test_client_explains_why_there_is_no_engine(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(EngineUnavailable, match="No engine is running"):
        find_engine()
    monkeypatch.setenv("SAMA_HOME", str(engine.home))
    engine.process.kill()
    engine.process.wait(PATIENCE)
    with pytest.raises(EngineUnavailable, match="No engine is running"):
        find_engine()


def test_client_explains_why_a_live_engine_cannot_be_used(engine, monkeypatch, tmp_path):
    """The lock is held by the test, for an engine would put its state file right."""
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "other"))
    run = tmp_path / "other" / "run"
    run.mkdir(parents=True)
    with (run / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for state, text in [
            (json.dumps({**engine.state, "token": "old"}), "refuses"),
            ("{", "cannot be read"),
            (json.dumps({**engine.state, "port": 70_000}), "cannot be read"),
            (json.dumps({**engine.state, "port": 1}), "does not answer"),
        ]:
            (run / "engine.json").write_text(state)
            with pytest.raises(EngineUnavailable, match=text):
                find_engine()
        (run / "engine.json").unlink()
        with pytest.raises(EngineUnavailable, match="just starting or ending"):
            find_engine()


def test_unusable_folder_is_an_error_and_not_a_hang(start_engine, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    process = start_engine.spawn(tmp_path / "file" / "home", ["-m", "sama_core.service"], {})
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    [line] = output.decode().splitlines()
    assert "cannot be used (Not a directory). Make it a folder that you can write to" in line


def test_real_engine_command_answers_hello_without_importing_torch(start_engine):
    engine = start_engine(["-X", "importtime", "-m", "sama_core.service"])
    assert engine.hello()["models"] == list(MODELS)
    engine.process.terminate()
    assert engine.process.wait(PATIENCE) == 0
    assert engine.process.stdout is not None
    imported = engine.process.stdout.read().decode()
    assert "uvicorn" in imported + engine.log
    assert "torch" not in imported + engine.log
    assert [path.name for path in (engine.home / "run").iterdir()] == ["engine.lock"]
