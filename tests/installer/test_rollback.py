"""An installation that fails or is stopped half-way leaves the home as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway_machine import wait_for

QUICK = ["--need-free", "0.1", "--no-self-check"]


@pytest.fixture
def profile(machine) -> Path:
    return machine.add_gimp("3.0.4")


def test_failing_build_takes_everything_back(machine, profile, small_source):
    before = machine.contents()
    source = small_source("raise SystemExit('this build fails on purpose')")
    done = machine.run("--yes", "--package", source, *QUICK)
    assert done.returncode == 1
    assert "this build fails on purpose" in done.stdout + done.stderr
    assert "taken away" in done.stderr
    assert machine.contents() == before


def test_package_without_an_engine_takes_everything_back(machine, profile, tmp_path):
    before = machine.contents()
    (tmp_path / "not_a_wheel-1-py3-none-any.whl").write_text("no")
    done = machine.run("--yes", "--package", tmp_path / "not_a_wheel-1-py3-none-any.whl", *QUICK)
    assert done.returncode == 1
    assert machine.contents() == before


def test_failure_at_the_last_step_takes_everything_back(machine, profile, small_wheel):
    (machine.sama_home / "install.json").mkdir(parents=True)
    before = machine.contents()
    done = machine.run("--yes", "--package", small_wheel(), *QUICK)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert machine.contents() == before


def test_failing_update_brings_the_older_plug_in_back(machine, profile, small_wheel):
    options = ["--package", small_wheel(), *QUICK]
    machine.install(*options)
    client = profile / "plug-ins" / "sama_select" / "sama" / "client.py"
    client.write_text("older = True\n")
    record = machine.sama_home / "install.json"
    record.unlink()
    record.mkdir()
    before = machine.contents()
    assert machine.run("--yes", *options).returncode == 1
    assert machine.contents() == before
    record.rmdir()
    machine.install(*options)
    assert client.read_text() != "older = True\n"


@pytest.fixture
def being_installed(machine, profile, small_source, tmp_path):
    """An installer in the middle of its work: pip builds the package and does not come to an end."""
    started = tmp_path / "started"
    source = small_source(f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)")
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            machine.command("--yes", "--package", source, *QUICK),
            env=machine.variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wait_for(started, process)
    assert (machine.sama_home / "engine").is_dir()
    yield process
    for sent in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sent)
    process.wait()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_being_stopped_takes_everything_back(machine, being_installed, sent):
    # To all of its processes, as Ctrl+C in a terminal does.
    os.killpg(being_installed.pid, sent)
    assert being_installed.wait(60) in (130, 143)
    assert list(machine.home.iterdir()) == []


def test_after_being_killed_removing_finds_all_of_it(machine, being_installed):
    os.killpg(being_installed.pid, signal.SIGKILL)
    being_installed.wait()
    assert (machine.sama_home / "engine").is_dir()
    machine.uninstall()
    assert list(machine.home.iterdir()) == []


def test_after_being_killed_installing_starts_afresh(machine, being_installed, small_wheel):
    os.killpg(being_installed.pid, signal.SIGKILL)
    being_installed.wait()
    machine.install("--package", small_wheel(), *QUICK)
    python = machine.sama_home / "engine" / "bin" / "python"
    subprocess.run([python, "-c", "import sama_core"], cwd="/", check=True)
    machine.uninstall()
    assert list(machine.home.iterdir()) == []


def test_interpreter_of_these_tests_can_make_environments():
    # Else every refusal above could be for this reason.
    subprocess.run([sys.executable, "-c", "import venv, ensurepip"], check=True)
