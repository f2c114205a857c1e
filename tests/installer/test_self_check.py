"""The whole installation with the real engine, and with real GIMP 3 asked for what it knows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from throwaway_machine import Machine, copy_of_the_checkout, wait_for


@pytest.fixture
def running_engine(machine: Machine) -> Iterator[subprocess.Popen]:
    """The machine's user has an engine running already."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sama_core.service"], env=machine.variables, cwd="/", stdin=subprocess.DEVNULL
    )
    try:
        wait_for(machine.sama_home / "run" / "engine.json", process)
        yield process
    finally:
        process.kill()
        process.wait()


def test_engine_and_gimp_are_tried(machine, real_profile):
    text = machine.install("--python", sys.executable)
    assert "Engine: works, on cpu" in text
    assert "knows both of SAMA's commands" in text
    assert "Filters → SAMA Select" in text
    assert "Layer → Add SAMA Alpha Matte" in text
    assert "Restart GIMP" in text
    # The engine that was started for the trial has ended.
    assert not (machine.sama_home / "run" / "engine.json").exists()
    machine.uninstall()
    assert not machine.sama_home.exists()
    assert not (real_profile / "plug-ins" / "sama_select").exists()


def test_gimp_makes_its_own_new_profile_so_that_old_settings_come_along(machine, real_profile, bare_engine):
    machine.install("--python", bare_engine, "--no-self-check")
    # Only GIMP itself makes these.
    assert (real_profile / "brushes").is_dir()
    manifest = json.loads((machine.sama_home / "manifest.json").read_text(encoding="utf-8"))
    assert str(real_profile) not in manifest["folders"]


def test_plug_in_that_gimp_does_not_know_is_reported(machine, real_profile, bare_engine):
    copy = copy_of_the_checkout(machine.folder / "with a broken plug-in")
    (copy / "gimp_plugin" / "sama_select" / "sama_select.py").write_text(
        "#!/usr/bin/env python3\nraise SystemExit(1)\n"
    )
    done = machine.run("--yes", "--python", bare_engine, installer=copy / "installer" / "install.py")
    assert done.returncode == 1
    assert "does not know plug-in-sama-select and plug-in-sama-alpha-matte" in done.stdout


def test_engine_that_does_not_start_is_reported_and_stays_installed(machine, bare_engine):
    profile = machine.add_gimp("3.0.4")
    done = machine.run("--yes", "--python", bare_engine)
    assert done.returncode == 1
    assert "Engine: FAILED" in done.stdout
    assert "sama_core.service" in done.stdout
    assert "Traceback" not in done.stderr
    assert (profile / "plug-ins" / "sama_select" / "sama_select.py").exists()
    assert (machine.sama_home / "install.json").exists()


def test_engine_in_use_is_left_running(machine, running_engine):
    machine.add_gimp("3.0.4")
    assert "Engine: works" in machine.install("--python", sys.executable)
    assert running_engine.poll() is None
    assert (machine.sama_home / "run" / "engine.json").exists()


def test_removing_ends_a_running_engine_first(machine, running_engine, bare_engine):
    machine.add_gimp("3.0.4")
    machine.install("--python", bare_engine, "--no-self-check")
    machine.uninstall()
    assert running_engine.wait(30) == 0
    assert not machine.sama_home.exists()
