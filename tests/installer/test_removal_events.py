"""What uninstalling tells a program, and what the program may answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from throwaway_machine import Machine


@pytest.fixture
def plug_in(machine: Machine, bare_engine: Path) -> Path:
    """An installation to be removed, with a model that was downloaded; the folder of its plug-in."""
    profile = machine.add_gimp("3.0.4")
    machine.install("--python", bare_engine, "--no-self-check")
    weights = machine.sama_home / "weights" / "sam_vit_b.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"w" * 3000)
    return profile / "plug-ins" / "sama_select"


def told(machine: Machine, *options: str, answers: str = "") -> tuple[int, list[dict[str, Any]]]:
    """The exit status of an uninstallation, and its events, which are all that it may print."""
    done = machine.run("--uninstall", "--json", *options, answers=answers)
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [" ".join(filter(None, (event["event"], event.get("step", "")))) for event in events]


LOOKING = ["step_started look", "step_done look"]
REMOVING = [f"step_{what} {step}" for step in ("end_engine", "remove", "take_out") for what in ("started", "done")]


def test_removal_is_told_step_by_step(machine, plug_in):
    status, events = told(machine, "--remove-weights")
    assert (status, kinds(events)) == (0, [*LOOKING, "removal_planned", *REMOVING, "finished"])
    plan, last = events[2], events[-1]
    assert plan["home"] == str(machine.sama_home)
    assert plan["places"] == [str(plug_in), str(machine.sama_home / "weights")]
    assert plan["weights"] == [{"name": "sam_vit_b.pth", "size": 3000}]
    assert plan["weights_fate"] == "remove"
    assert [event["number"] for event in events if event["event"] == "step_started"] == [0, 1, 2, 3]
    assert (last["status"], last["changed"]) == (0, True)
    assert "is removed" in last["message"]
    assert not machine.sama_home.exists()


@pytest.mark.parametrize("answer", [True, False])
def test_program_is_asked_about_the_models(machine, plug_in, answer):
    said = 'not JSON\n{"agree": true}\n' + json.dumps({"remove_weights": answer}) + "\n"
    status, events = told(machine, answers=said)
    assert status == 0
    assert events[2]["weights_fate"] == "ask"
    assert (machine.sama_home / "weights").exists() != answer
    assert not plug_in.exists()


@pytest.mark.parametrize(("answers", "statuses"), [("", {1}), ('{"stop": true}\n', {1, 130})])
def test_program_that_gives_no_answer_changes_nothing(machine, plug_in, answers, statuses):
    before = machine.contents()
    ended, events = told(machine, answers=answers)
    assert kinds(events) == [*LOOKING, "removal_planned", "finished"]
    assert events[-1]["changed"] is False
    # A stop may be overtaken by the end of stdin right behind it.
    assert ended == events[-1]["status"]
    assert ended in statuses
    assert machine.contents() == before


def test_dry_run_tells_the_plan_and_changes_nothing(machine, plug_in):
    before = machine.contents()
    status, events = told(machine, "--dry-run")
    assert (status, kinds(events)) == (0, [*LOOKING, "removal_planned", "finished"])
    assert machine.contents() == before


def test_nothing_to_remove_is_told(machine):
    status, events = told(machine)
    assert (status, kinds(events)) == (0, [*LOOKING, "finished"])
    assert "not installed" in events[-1]["message"]


def test_what_stays_is_told(machine, plug_in):
    (plug_in / "notes.txt").write_text("mine")
    _, events = told(machine, "--yes")
    (note,) = [event["text"] for event in events if event["event"] == "note"]
    assert note.startswith(f"{plug_in} stays")


def test_failure_is_told_and_the_next_run_goes_on(machine, plug_in):
    manifest = machine.sama_home / "manifest.json"
    content = manifest.read_bytes()
    manifest.write_text("{")
    status, events = told(machine, "--yes")
    assert (status, kinds(events)) == (1, ["step_started look", "step_failed look", "finished"])
    assert "--repair" in events[-1]["message"]
    manifest.write_bytes(content)
    assert told(machine, "--yes")[0] == 0


def test_wrong_option_is_told_as_an_event(machine):
    done = machine.run("--json", "--yes", "--offline", "--wheels", machine.folder / "none", "--package", "/nowhere")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["status"]) == (1, "finished", 1)
