"""Killed at any moment, the installer leaves nothing that claims to work and does not, and run again it mends all.

The moments are every event that it tells, and changes to the disk spread over the whole of it, with an engine of one's
own; then the steps that make an engine (that of downloading is in test_downloads.py). Real processes, killed
with SIGKILL together with whatever they started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway_machine import ROOT, Machine

PLUG_IN = ROOT / "gimp_plugin" / "sama_select"
KILLED_AT = Path(__file__).with_name("killed_at.py")
#: How many of the changes to the disk are tried, spread evenly.
CHANGES_TRIED = 6


def killed(machine: Machine, moment: str, options: list) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(KILLED_AT), moment, *map(str, options)],
        env=machine.variables,
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def counted(machine: Machine, options: list) -> tuple[int, int]:
    """How many events and changes a whole installation has; the machine is as before afterwards."""
    before = machine.contents()
    done = killed(machine, "event 0", options)
    assert done.returncode == 0, done.stderr
    machine.uninstall()
    assert machine.contents() == before
    events, changes = map(int, done.stdout.split())
    return events, changes


def assert_claims_are_true(machine: Machine, profile: Path) -> None:
    """What is there works: an engine that may be started can be, and a plug-in that GIMP sees is whole."""
    record = machine.sama_home / "install.json"
    if record.exists():
        python = json.loads(record.read_text(encoding="utf-8"))["python"]
        subprocess.run([python, "-c", "import sama_core"], cwd="/", check=True)
    plug_in = profile / "plug-ins" / "sama_select"
    if plug_in.exists():
        assert_is_whole(plug_in)


def assert_is_whole(plug_in: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        found = [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}

    assert files(plug_in) == files(PLUG_IN) and (plug_in / "sama" / "__init__.py").is_file()
    assert os.access(plug_in / "sama_select.py", os.X_OK)


def assert_mended(machine: Machine, profile: Path, options: list, before: dict) -> None:
    machine.install(*options)
    assert_is_whole(profile / "plug-ins" / "sama_select")
    assert (machine.sama_home / "install.json").exists()
    assert_claims_are_true(machine, profile)
    assert sorted(path.name for path in machine.sama_home.iterdir() if path.name != "engine") == [
        "install.json",
        "manifest.json",
    ]
    assert [path.name for path in (profile / "plug-ins").iterdir()] == ["sama_select"]
    machine.uninstall()
    assert machine.contents() == before


def test_killed_at_each_event_with_an_engine_of_ones_own(machine, bare_engine):
    profile = machine.add_gimp("3.0.4")
    options = ["--python", bare_engine, "--no-self-check"]
    events, changes = counted(machine, options)
    before = machine.contents()
    moments = [f"event {number}" for number in range(1, events + 1)]
    moments += [f"change {number}" for number in range(1, changes + 1, max(1, changes // CHANGES_TRIED))]
    for moment in moments:
        done = killed(machine, moment, options)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
        assert_claims_are_true(machine, profile)
        assert_mended(machine, profile, options, before)


@pytest.mark.parametrize("step", ["environment", "engine"])
def test_killed_in_each_step_of_making_an_engine(machine, small_wheel, step):
    profile = machine.add_gimp("3.0.4")
    options = ["--package", small_wheel(), "--need-free", "0.1", "--no-self-check"]
    before = machine.contents()
    process = subprocess.Popen(
        machine.command("--yes", "--json", *options),
        env=machine.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None
    told = map(json.loads, process.stdout)
    assert any(event["event"] == "step_started" and event["step"] == step for event in told)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert_claims_are_true(machine, profile)
    assert_mended(machine, profile, options, before)


def test_killed_while_updating_the_engine_it_claims_nothing(machine, small_wheel):
    profile = machine.add_gimp("3.0.4")
    machine.install("--package", small_wheel(), "--need-free", "0.1", "--no-self-check")
    newer = ["--package", small_wheel("0.2.0"), "--no-self-check"]
    # 1 look, 2 looked, 3 plan, 4 and 5 downloading begins and ends, 6 installing begins: killed as it says so.
    done = killed(machine, "event 6", newer)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert_claims_are_true(machine, profile)
    machine.install(*newer)
    record = json.loads((machine.sama_home / "install.json").read_text(encoding="utf-8"))
    assert record["version"] == "0.2.0"
    assert_claims_are_true(machine, profile)


def test_removal_that_was_killed_is_gone_on_with(machine, bare_engine):
    profile = machine.add_gimp("3.0.4")
    options = ["--python", bare_engine, "--no-self-check"]
    before = machine.contents()
    machine.install(*options)
    done = killed(machine, "event 0", ["--uninstall"])
    assert done.returncode == 0, done.stderr
    assert machine.contents() == before
    events, changes = map(int, done.stdout.split())
    # What comes after the last change that is made in SAMA's folder needs no going on with.
    moments = [f"event {number}" for number in range(4, events, 2)]
    moments += [f"change {number}" for number in range(1, changes - 3, changes // 4)]
    for moment in moments:
        machine.install(*options)
        done = killed(machine, moment, ["--uninstall"])
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
        if (profile / "plug-ins" / "sama_select" / "sama_select.py").exists():
            assert_claims_are_true(machine, profile)
        machine.uninstall()
        assert machine.contents() == before, moment


def test_run_after_a_kill_says_so(machine, bare_engine):
    machine.add_gimp("3.0.4")
    options = ["--python", bare_engine, "--no-self-check"]
    assert killed(machine, "event 5", options).returncode == -signal.SIGKILL
    assert "was cut off at" in machine.install(*options)
    assert "was cut off at" not in machine.install(*options)
