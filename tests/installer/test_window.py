"""The installer's window, from end to end: real clicks, a real installation behind them. Pictures: build/window."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qt_libraries import load as load_qt
from throwaway_machine import ROOT, Machine, wait_for

QUICK = ("--need-free", "0.1")
#: A build that works once there is a file `go` beside the source, and until then waits, or fails.
WAITS = """
import os, shutil, time
open(os.path.join({folder!r}, 'begun'), 'w').close()
while not os.path.exists(os.path.join({folder!r}, 'go')):
    time.sleep(0.1)
shutil.copy({wheel!r}, folder)
return os.path.basename({wheel!r})
"""
FAILS = """
import os, shutil
if not os.path.exists(os.path.join({folder!r}, 'go')):
    raise SystemExit('this build fails on purpose')
shutil.copy({wheel!r}, folder)
return os.path.basename({wheel!r})
"""


@pytest.fixture
def at_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine, and this process at home on it: what the window starts is started there."""
    for name in ("SAMA_HOME", "XDG_CONFIG_HOME", "GIMP3_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in machine.variables.items():
        monkeypatch.setenv(name, value)
    return machine


@pytest.fixture(scope="session")
def qt(qt_variables: dict[str, str]) -> dict[str, str]:
    """Qt works in this process from now on; the variables that it takes to make it work in another one."""
    load_qt(qt_variables)
    from qtpy.QtWidgets import QApplication

    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    application.setStyle("Fusion")
    return qt_variables


@pytest.fixture
def window(qt: dict[str, str], at_machine: Machine) -> Iterator[Callable]:
    """A function: open the window with these options for the installer; returns the hand at it."""
    from window_hand import Hand

    from installer.window.controller import Controller

    hands: list[Hand] = []

    def open_it(*options: str | Path) -> Hand:
        hands.append(Hand(Controller(tuple(map(str, options)))))
        hands[-1].controller.begin()
        return hands[-1]

    yield open_it
    for hand in hands:
        gone: list[bool] = []
        hand.controller.left.connect(lambda gone=gone: gone.append(True))
        hand.controller.leave()
        hand.wait(lambda gone=gone: bool(gone), "the window to close")
        hand.frame.deleteLater()


@pytest.fixture
def source(machine: Machine, small_source, small_wheel) -> Callable[[str], Path]:
    """A function: the source folder of an engine whose build runs this code, with its places filled in."""
    return lambda code: small_source(code.format(folder=str(machine.folder), wheel=str(small_wheel())))


def test_engine_and_gimp_are_installed_and_tried(window, at_machine, real_profile):
    hand = window("--python", sys.executable)
    pages = hand.controller
    hand.wait_for_button("Next")
    assert "GIMP 3.0" in hand.words()
    assert "~/.local/share/sama-gimp" in hand.words()
    hand.picture("1-found")
    hand.press("Next")
    hand.wait_for(pages.models)
    assert "is there already" in hand.words()
    hand.picture("2-models")
    hand.press("Install")
    hand.wait(lambda: hand.page is pages.check, "the trial")
    hand.picture("4-trying")
    hand.wait_for_button("Next")
    assert "Everything works" in hand.words()
    assert "knows both of SAMA's commands" in hand.words()
    assert pages.check.picture.isVisible()
    hand.picture("5-tried")
    hand.press("Next")
    assert "SAMA Select…" in hand.words()
    hand.picture("6-done")
    assert (real_profile / "plug-ins" / "sama_select" / "sama_select.py").exists()
    assert not (at_machine.sama_home / "run" / "engine.json").exists()


def test_cancel_takes_everything_back(window, at_machine, source):
    at_machine.add_gimp("3.0.4")
    hand = window("--package", source(WAITS), *QUICK, "--no-self-check")
    before = at_machine.contents()
    to_models(hand).press("Install")
    hand.wait((at_machine.folder / "begun").exists, "the build")
    hand.picture("3-installing")
    hand.press("Cancel")
    assert not hand.buttons()["Cancel"].isEnabled()
    hand.wait_for(hand.controller.failure)
    assert "SAMA was not installed" in hand.words()
    hand.picture("7-cancelled")
    assert without_downloads(at_machine) == before
    # And it can be begun again from there.
    (at_machine.folder / "go").touch()
    hand.press("Try again")
    install_whole(hand)
    assert (at_machine.sama_home / "install.json").exists()


def test_failure_is_told_and_can_be_tried_again(window, at_machine, source):
    at_machine.add_gimp("3.0.4")
    hand = window("--package", source(FAILS), *QUICK, "--no-self-check")
    before = at_machine.contents()
    to_models(hand).press("Install")
    hand.wait_for(hand.controller.failure)
    assert "SAMA could not be installed" in hand.words()
    assert "this build fails on purpose" in hand.controller.failure.details.log.toPlainText()
    hand.picture("7-failed")
    assert without_downloads(at_machine) == before
    hand.press("Copy report")
    report = clipboard()
    assert "this build fails on purpose" in report
    assert str(at_machine.home) not in report
    (at_machine.folder / "go").touch()
    hand.press("Try again")
    install_whole(hand)
    assert (at_machine.sama_home / "install.json").exists()


def test_missing_gimp_is_told_and_can_be_named(window, at_machine):
    hand = window("--python", sys.executable, "--no-self-check")
    hand.wait_for_button("Look again")
    assert "No GIMP was found" in hand.words()
    assert "Next" not in hand.buttons()
    hand.picture("1-no-gimp")
    # One that lies where nobody looks can be named.
    hand.controller.use_profile(str(at_machine.home / "my own GIMP" / "plug-ins"))
    hand.wait_for_button("Next")
    assert "~/my own GIMP/plug-ins/sama_select" in hand.words()


def test_gimp_that_was_missing_is_found_when_it_is_there(window, at_machine):
    hand = window("--python", sys.executable, "--no-self-check")
    hand.wait_for_button("Look again")
    at_machine.add_gimp("3.2.6")
    hand.press("Look again")
    hand.wait_for_button("Next")
    assert "GIMP 3.2.6" in hand.words()


def test_full_disk_is_told_before_anything_is_done(window, at_machine, small_wheel):
    at_machine.add_gimp("3.0.4")
    hand = window("--package", small_wheel(), "--need-free", "1000000")
    hand.wait_for_button("Look again")
    assert "The disk is too full" in hand.words()
    assert "Next" not in hand.buttons()
    hand.picture("1-full-disk")


def test_wrong_model_file_is_refused_and_sama_works_without(window, at_machine):
    at_machine.add_gimp("3.0.4")
    wrong = at_machine.folder / "holiday.pth"
    wrong.write_bytes(b"not a model")
    hand = window("--python", sys.executable, "--no-self-check")
    to_models(hand).controller.models.cards["vit_b"].want(str(wrong))
    hand.picture("2-models-from-a-file")
    hand.press("Install")
    hand.wait_for(hand.controller.failure)
    assert "Not every model is there" in hand.words()
    assert "holiday.pth" in hand.words()
    hand.picture("7-wrong-model")
    hand.press("Go on without")
    hand.wait_for(hand.controller.done)
    assert "Not downloaded: SAM ViT-B" in hand.words()
    assert not list((at_machine.sama_home / "weights").glob("*.pth"))


def test_installation_there_is_can_be_removed(window, at_machine, bare_engine):
    at_machine.add_gimp("3.0.4")
    before = at_machine.contents()
    at_machine.install("--python", bare_engine, "--no-self-check")
    weights = at_machine.sama_home / "weights" / "sam_vit_b_01ec64.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"x" * 2_000_000)
    hand = window("--python", bare_engine, "--no-self-check")
    hand.wait_for_button("Next")
    assert "SAMA is on this computer already" in hand.words()
    hand.picture("8-installed-already")
    choose(hand, "REMOVE")
    hand.press("Remove…")
    assert "(2 MB)" in hand.words()
    hand.controller.removal.models.setChecked(True)
    hand.picture("8-remove")
    hand.press("Remove")
    hand.wait_for_button("Close")
    assert "SAMA is removed" in hand.words()
    hand.picture("8-removed")
    assert at_machine.contents() == before


def test_whole_way_by_keyboard(window, at_machine, bare_engine):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    at_machine.add_gimp("3.0.4")
    hand = window("--python", bare_engine, "--no-self-check")
    hand.wait_for_button("Next")
    QTest.keyClick(hand.frame.focusWidget(), Qt.Key.Key_Return)
    hand.wait_for(hand.controller.models)
    hand.wait_for_button("Back")
    # an underlined letter is for the active window alone
    hand.frame.activateWindow()
    assert QTest.qWaitForWindowActive(hand.frame)
    QTest.keyClick(hand.frame.focusWidget(), Qt.Key.Key_B, Qt.KeyboardModifier.AltModifier)
    hand.wait_for(hand.controller.welcome)
    QTest.keyClick(hand.frame.focusWidget(), Qt.Key.Key_Return)
    hand.wait_for(hand.controller.models)
    QTest.keyClick(hand.frame.focusWidget(), Qt.Key.Key_Space)
    hand.wait_for(hand.controller.done)
    assert (at_machine.sama_home / "install.json").exists()


def test_dark_and_small(window, at_machine, qt):
    from qtpy.QtGui import QColor, QPalette
    from qtpy.QtWidgets import QApplication

    at_machine.add_gimp("3.0.4")
    before = QApplication.palette()
    try:
        QApplication.setPalette(QPalette(QColor("#26292e")))
        hand = window("--python", sys.executable)
        hand.wait_for_button("Next")
        hand.frame.resize(hand.frame.minimumSize())
        hand.picture("9-dark-and-small")
        ground = hand.frame.grab().toImage().pixelColor(300, 10)
        assert ground.lightness() < 60
        to_models(hand)
        hand.picture("9-dark-models")
    finally:
        QApplication.setPalette(before)


#: Stands for the window's process: a window, and somebody at it who begins to install.
BEGINS_TO_INSTALL = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from qtpy.QtWidgets import QApplication
application = QApplication([])
from installer.window.controller import Controller
from window_hand import Hand
hand = Hand(Controller(tuple(sys.argv[1:])))
hand.controller.begin()
print("window up", flush=True)
hand.wait_for_button("Next")
hand.press("Next")
hand.wait_for(hand.controller.models)
hand.press("Install")
Path({folder!r}, "window").write_text(str(os.getpid()))
application.exec()
"""


def test_installation_goes_on_when_the_window_dies(qt, at_machine, source, tmp_path):
    profile = at_machine.add_gimp("3.0.4")
    driver, launcher = tmp_path / "driver.py", tmp_path / "launcher.py"
    paths = [str(ROOT), str(ROOT / "tests" / "installer")]
    driver.write_text(BEGINS_TO_INSTALL.format(paths=paths, folder=str(at_machine.folder)))
    launcher.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from installer import cli, window_launch\n"
        "window_launch._environment = lambda home: sys.executable\n"
        f"window_launch.command = lambda python, options: [python, {str(driver)!r}, *options]\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, str(launcher), "--package", str(source(WAITS)), *QUICK, "--no-self-check"]
    process = subprocess.Popen(
        command, env={**os.environ, **qt, "DISPLAY": ":99"}, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        wait_for(at_machine.folder / "begun", process)
        os.kill(int((at_machine.folder / "window").read_text()), signal.SIGKILL)
        (at_machine.folder / "go").touch()
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said.decode()
    assert "What it was doing goes on here" in said.decode()
    assert json.loads((at_machine.sama_home / "install.json").read_text())["version"] == "0.1.0"
    assert (profile / "plug-ins" / "sama_select" / "sama_select.py").exists()


def to_models(hand):
    hand.wait_for_button("Next")
    hand.press("Next")
    hand.wait_for(hand.controller.models)
    return hand


def install_whole(hand) -> None:
    to_models(hand).press("Install")
    hand.wait_for(hand.controller.done)


def choose(hand, name: str) -> None:
    from installer.window.pages.welcome import Choice

    hand.controller.welcome.choose(Choice[name])


def without_downloads(machine: Machine) -> dict[str, tuple]:
    """What is there, but for downloads, which a stop or a failure keeps for the next time, and their folders."""
    kept = (".local/share/sama-gimp/downloads", ".local/share/sama-gimp/manifest.json")
    parents = (".local", ".local/share", ".local/share/sama-gimp")
    return {
        name: what for name, what in machine.contents().items() if not name.startswith(kept) and name not in parents
    }


def clipboard() -> str:
    from qtpy.QtWidgets import QApplication

    return QApplication.clipboard().text()


def test_damaged_installation_is_repaired(window, at_machine, small_wheel):
    profile = at_machine.add_gimp("3.0.4")
    options = ("--package", small_wheel(), *QUICK, "--no-self-check")
    at_machine.install(*options)
    plug_in = profile / "plug-ins" / "sama_select" / "sama_select.py"
    library = next((at_machine.sama_home / "engine").glob("lib/python3*/site-packages/sama_core/__init__.py"))
    intact = library.read_text()
    # What no look from outside tells: the engine says its version all the same.
    library.write_text(intact + "damaged = True\n")
    hand = window(*options)
    hand.wait_for_button("Next")
    choose(hand, "REPAIR")
    to_models(hand).press("Repair")
    hand.wait_for(hand.controller.done)
    assert library.read_text() == intact
    assert plug_in.exists()
