"""How the window comes up, and how the installer does without one."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from throwaway_machine import Machine

#: A screen by its name; Qt is told to draw to memory instead.
SCREEN = {"DISPLAY": ":99"}


@pytest.fixture
def window_made(machine: Machine) -> None:
    """The window's environment is there already, as after an earlier installation: the tests' own Qt is in it."""
    folder = machine.sama_home / "window"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    qt = find_spec("qtpy")
    assert qt is not None
    assert qt.origin is not None
    (packages / "qt.pth").write_text(f"{Path(qt.origin).parents[1]}\n")


def test_window_opens_and_takes_its_environment_along_when_nothing_was_installed(machine, window_made, qt_variables):
    machine.add_gimp("3.0.4")
    process = subprocess.Popen(
        machine.command(),
        env={**machine.variables, **SCREEN, **qt_variables},
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "The window is open. Go on there.\n"
        process.send_signal(signal.SIGINT)
        # 130 where the wish came before the launcher had begun to wait.
        assert process.wait(120) in (0, 130)
    finally:
        process.kill()
        process.wait()
    assert not (machine.sama_home / "window").exists()
    assert not (machine.config / "3.0").exists()


def test_window_that_qt_cannot_show_is_said_and_text_goes_on(machine, window_made, qt_variables, bare_engine):
    machine.add_gimp("3.0.4")
    broken = {**SCREEN, **qt_variables, "QT_QPA_PLATFORM": "no-such-platform"}
    done = machine.run("--python", bare_engine, "--no-self-check", answers="y\n", variables=broken)
    assert done.returncode == 0, done.stderr
    assert "Qt cannot show a window here" in done.stdout
    assert "Going on in text." in done.stdout
    assert (machine.sama_home / "install.json").exists()
    assert not (machine.sama_home / "window").exists()


def test_window_that_cannot_be_fetched_is_said_and_leaves_nothing(machine):
    machine.add_gimp("3.0.4")
    before = machine.contents()
    done = machine.run("--no-self-check", answers="n\n", variables={**SCREEN, "PIP_NO_INDEX": "1"})
    assert "MB to download" in done.stdout
    assert "The window could not be made. Qt could not be installed" in done.stdout
    assert "Going on in text." in done.stdout
    assert machine.contents() == before


def test_without_a_screen_text_is_used_and_that_is_said(machine, bare_engine):
    machine.add_gimp("3.0.4")
    done = machine.run("--python", bare_engine, "--no-self-check", answers="n\n")
    assert done.stdout.startswith("There is no screen to show a window on. Going on in text.\n")


def test_text_on_request_is_not_explained(machine, bare_engine):
    machine.add_gimp("3.0.4")
    done = machine.run("--text", "--python", bare_engine, "--no-self-check", answers="n\n", variables=SCREEN)
    assert "Going on in text" not in done.stdout
    assert "Nothing was changed" in done.stdout + done.stderr


def test_removing_takes_the_windows_environment_too(machine, window_made, bare_engine):
    machine.add_gimp("3.0.4")
    machine.install("--python", bare_engine, "--no-self-check")
    assert (machine.sama_home / "window").exists()
    machine.uninstall()
    assert not machine.sama_home.exists()
