"""Faults between a plug-in and its engine, both real processes: what the user reads, and that the next run works.

Each test adds a row to the fault table (tests/conftest.py). That the image is unharmed follows from the plug-in's
writing nothing before the whole answer is there, which tests/gimp/test_engine_faults.py sees in real GIMP.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import plugin_process
import pytest
import small_engine
from engine_process import wait_for
from user_desk import Desk

AGAIN = "Run the command again"
REMEDY = "error with a remedy; the next run works"


def works(desk: Desk) -> str:
    """Run again; return what to say of it in the table."""
    outcome = desk.run()
    assert (outcome.status, outcome.right) == ("answer", True), outcome
    desk.engine_pid()
    assert not desk.drafts()
    return "Next run: right answer; one engine, no other process."


@pytest.mark.parametrize("step", small_engine.STEPS)
def test_engine_killed(shared_desk: Desk, fault, step: str):
    fault(f"engine killed (SIGKILL) at “{step}”", REMEDY)
    if step in ("announcing", "announced", "loading"):
        # Only an engine's first run comes there.
        shared_desk.end()
    else:
        works(shared_desk)
    shared_desk.order("die_at", step)
    outcome = shared_desk.run()
    assert not (shared_desk.home / "die_at").exists(), "no engine died"
    if step == "hello":
        # Nothing was asked yet, so the plug-in starts another engine by itself.
        assert outcome.right
        fault.saw("The same run started another engine and got the right answer.")
    else:
        assert outcome.status == "execution_error" and AGAIN in outcome.message, outcome
        fault.saw(f"“{outcome.message}”")
    fault.saw(works(shared_desk))


@pytest.mark.parametrize("step", plugin_process.STEPS)
def test_plug_in_killed(shared_desk: Desk, fault, step: str):
    fault(f"plug-in killed (SIGKILL) at “{step}”", "the engine drops the job; the next run works")
    if step == "starting":
        shared_desk.end()
    shared_desk.kill_plugin(step)
    fault.saw(works(shared_desk))


def test_plug_in_killed_in_a_long_job(shared_desk: Desk, fault):
    fault("plug-in killed (SIGKILL) in a long job", "the engine drops the job; the next run works")
    (shared_desk.home / "release").unlink(missing_ok=True)
    before = len(shared_desk.record())
    shared_desk.kill_plugin("waiting", model="waiting")
    wait_for(lambda: shared_desk.record()[before:] == ["started 1", "cancelled 1"], "the job to be dropped")
    fault.saw("The engine dropped the job.", works(shared_desk))


def test_two_plug_ins_and_ten_requests_at_once(desk: Desk, fault):
    fault("two plug-ins, ten requests at once, no engine yet", "one engine; every answer goes to who asked")
    processes = [desk.spawn(desk.colours(5)) for _ in range(2)]
    outcomes = [outcome for process in processes for outcome in desk.outcomes(process)]
    assert len(outcomes) == 10 and all(outcome.right for outcome in outcomes), outcomes
    desk.engine_pid()
    fault.saw("Ten right answers, one engine.", works(desk))


def test_port_taken_by_another_program(desk: Desk, fault):
    fault("port of an engine that was killed is taken by another program", "it hears nothing; a fresh engine answers")
    works(desk)
    state = desk.state()
    desk.end()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (desk.home / "run" / "engine.json").write_text(json.dumps({**state, "port": port}))
        again = works(desk)
        assert desk.state()["port"] != port
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()
    fault.saw("The other program was not even connected to.", again)


@pytest.mark.parametrize(
    ("name", "content"),
    [("holds another port and token", '{"port": 9, "token": "made up", "pid": 1}'), ("is deleted", None)],
    ids=["edited", "deleted"],
)
@pytest.mark.parametrize("engine", ["runs", "was killed"])
def test_state_file_edited(shared_desk: Desk, fault, name: str, content: str | None, engine: str):
    """What else can be in it, tests/unit/test_plugin_launch.py has."""
    fault(f"state file {name}, the engine {engine}", "the next run works, with the same engine if it runs")
    works(shared_desk)
    before = shared_desk.engine_pid()
    if engine == "was killed":
        shared_desk.end()
    path = shared_desk.home / "run" / "engine.json"
    path.unlink() if content is None else path.write_text(content)
    fault.saw(works(shared_desk))
    assert (shared_desk.engine_pid() == before) == (engine == "runs")
    if engine == "runs":
        fault.saw("The engine had written its file again.")


@pytest.mark.parametrize(("name", "years"), [("forward", 2), ("back", -2)])
def test_clock_jumps(desk: Desk, fault, name: str, years: int):
    fault(f"wall clock jumps two years {name} in a job and between runs", "nobody notices; old drafts still go")
    process = desk.spawn(model="waiting")
    wait_for(lambda: desk.record() == ["started 1"], "the job to start")
    first = desk.state()["pid"]
    desk.order("clock", years * 365 * 86400)
    desk.order("release")
    [outcome] = desk.outcomes(process)
    assert outcome.right
    draft = desk.home / "run" / "engine.json.1"
    draft.touch()
    assert desk.run().right and desk.engine_pid() == first
    fault.saw("Right answers from the same engine.")
    desk.end()
    fault.saw(works(desk))
    assert not draft.exists()
    fault.saw("A draft dated two years off was removed.")


def test_older_engine_runs(desk: Desk, fault):
    fault("upgrade while an engine of an older version runs", "the version handshake replaces it")
    works(desk)
    old = desk.engine_pid()
    record = json.loads((desk.home / "install.json").read_text())
    newer = {**record, "version": "0.2.0"}
    (desk.home / "install.json").write_text(json.dumps(newer))
    again = works(desk)
    assert desk.engine_pid() != old
    fault.saw("The old engine was told to end and did; a fresh one was started.", again)


@pytest.mark.parametrize(
    ("model", "name"), [("hungry", "the machine's memory"), ("hungry card", "the graphics card's memory")]
)
def test_out_of_memory(shared_desk: Desk, fault, model: str, name: str):
    fault(f"{name} runs out (simulated)", "error with a remedy; the same engine goes on")
    works(shared_desk)
    before = shared_desk.engine_pid()
    outcome = shared_desk.run(model=model)
    assert outcome.status == "execution_error" and "Close other programs" in outcome.message
    fault.saw(f"“{outcome.message}”", works(shared_desk))
    assert shared_desk.engine_pid() == before


def test_machine_sleeps_in_a_job(shared_desk: Desk, fault):
    """Everything stops at once and goes on later; the wall clock is not what the engine counts by."""
    fault("laptop sleeps in a job: plug-in and engine stop (SIGSTOP) and go on", "the answer arrives")
    (shared_desk.home / "release").unlink(missing_ok=True)
    before = len(shared_desk.record())
    process = shared_desk.spawn(model="waiting")
    wait_for(lambda: shared_desk.record()[before:] == ["started 1"], "the job to start")
    pids = shared_desk.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        wait_for(lambda pid=pid: is_stopped(pid), "a process to stop")
    shared_desk.order("release")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    [outcome] = shared_desk.outcomes(process)
    assert outcome.right, outcome
    fault.saw("Right answer.", works(shared_desk))


def test_plug_in_that_never_wakes(desk: Desk, fault):
    """The connection is half open: nobody reads, nobody hangs up."""
    fault(
        "half-open connection: the plug-in stops (SIGSTOP) before it reads its answer",
        "the engine gives up on it; others are served; the plug-in, awake again, says so",
    )
    desk.environment["SAMA_TEST_LIMITS"] = '{"SEND_TIMEOUT": 1}'
    works(desk)
    process = desk.spawn(model="waiting", verb="matte")
    wait_for(lambda: desk.record() == ["started 1"], "a job to start")
    os.kill(process.pid, signal.SIGSTOP)
    desk.order("release")
    log = desk.home / "logs" / "engine.log"
    wait_for(lambda: "did not read its answer" in log.read_text(), "the engine to give up")
    outcome = desk.run()
    assert outcome.right
    os.kill(process.pid, signal.SIGCONT)
    [outcome] = desk.outcomes(process)
    assert AGAIN in outcome.message
    fault.saw("Another plug-in got its right answer meanwhile.", f"“{outcome.message}”", works(desk))


def test_engine_that_hangs(desk: Desk, fault):
    fault("engine hangs (SIGSTOP) and says no hello", "error that names the process to end; then the next run works")
    works(desk)
    pid = desk.engine_pid()
    os.kill(pid, signal.SIGSTOP)
    outcome = desk.run(start_seconds=2, hello_seconds=1)
    assert outcome.status == "execution_error" and f"process {pid}) runs but does not answer. End" in outcome.message
    fault.saw(f"“{outcome.message}”")
    os.kill(pid, signal.SIGKILL)
    fault.saw("After that: " + works(desk))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_old_drafts_are_swept(desk: Desk, fault):
    fault("drafts of killed engines lie about", "those older than a day go when an engine starts")
    drafts = [desk.home / name for name in ("run/engine.json.1", "cache/embeddings/a.1.tmp", "weights/b.tmp")]
    for draft in drafts:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("a part")
        then = time.time() - 2 * 86400
        os.utime(draft, (then, then))
    fault.saw(works(desk))
    assert not any(draft.exists() for draft in drafts)
    fault.saw("All three kinds of draft had gone.")


def test_run_folder_is_deleted(desk: Desk, fault):
    fault("SAMA's run folder is deleted while the engine runs", "another engine answers, and the first one leaves")
    works(desk)
    first = desk.engine_pid()
    shutil.rmtree(desk.home / "run")
    assert desk.run().right
    wait_for(lambda: first not in desk.processes(), "the first engine to leave")
    fault.saw("Right answer; the first engine left.", works(desk))
