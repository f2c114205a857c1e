"""Filters → Repeat (Ctrl+F) and the Quick Mask, by keys in GIMP's window, with an engine that keeps a diary."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gui import MESSAGE, GimpOnScreen, Screen, wait_for
from ramp_session import ENGINE, INSIDE, RampSession
from sandbox import GimpInstallation, GimpSession, Workspace, engine_process

ROOT = Path(__file__).resolve().parents[2]
TITLE = "^SAMA Select"


@pytest.fixture(scope="module")
def user(gimp_installation: GimpInstallation) -> Iterator[tuple[GimpOnScreen, RampSession]]:
    workspace = Workspace(gimp_installation, [ROOT / "gimp_plugin" / "sama_select"])
    workspace.record_engine(Path(sys.executable), [str(ENGINE)])
    try:
        with (
            Screen(workspace) as screen,
            GimpSession(workspace, "pytest-gimp-repeat", window=True, environment=screen.environment) as gimp,
        ):
            gimp.run(INSIDE.read_text())
            yield GimpOnScreen(screen, gimp), RampSession(gimp)
    finally:
        engine_process.stop(workspace.sama_home)
        workspace.remove("repeat")


def show(desktop: GimpOnScreen, ramp: RampSession) -> None:
    (ramp.home / "requests.jsonl").unlink(missing_ok=True)
    photo = desktop.gimp.files / "chelsea.png"
    photo.write_bytes((ROOT / "demo" / "photos" / "chelsea.png").read_bytes())
    desktop.show(photo)
    desktop.gimp.run("click(img, (200, 90))")


def asked(ramp: RampSession, count: int) -> list[tuple]:
    wait_for(lambda: len(ramp.requests()) == count, f"request {count}")
    return [(request["points"], request["labels"]) for request in ramp.requests()]


def test_repeat_asks_what_the_dialog_asked_also_after_undo(user: tuple[GimpOnScreen, RampSession]):
    desktop, ramp = user
    show(desktop, ramp)
    desktop.gimp.run("click(img, (400, 250), name='second')")
    window = desktop.open_by_search("sama select", TITLE)
    key = desktop.screen.key
    # The first chooser: Automatic, second, clicks. The next: None, second, clicks.
    for mnemonic, steps in (("alt+i", 2), ("alt+l", 1)):
        key(mnemonic)
        key("space")
        for _ in range(steps):
            key("Down")
        key("Return")
    desktop.screen.screenshot("repeat-1-dialog")
    desktop.accept(window, TITLE)
    chosen = asked(ramp, 1)[0]
    assert chosen == ([[200, 90], [400, 250]], [1, 0])
    is_empty = "print(json.dumps(Gimp.Selection.is_empty(img)))"
    wait_for(lambda: not desktop.gimp.json(is_empty), "a selection")
    desktop._shortcut("ctrl+f")
    assert asked(ramp, 2)[1] == chosen
    desktop.undo()
    desktop.undo()
    wait_for(lambda: desktop.gimp.json(is_empty), "two undo steps to bring the empty selection back")
    desktop.gimp.run("img.get_paths()[0].set_name('renamed')")
    desktop._shortcut("ctrl+f")
    assert asked(ramp, 3)[2] == chosen


def test_a_result_under_the_quick_mask_outlives_it(user: tuple[GimpOnScreen, RampSession]):
    desktop, ramp = user
    show(desktop, ramp)
    desktop._shortcut("shift+q")
    desktop.gimp.run("img.set_selected_layers([layer])")
    desktop.accept(desktop.open_by_search("sama select", TITLE), TITLE)
    asked(ramp, 1)
    message = wait_for(lambda: desktop.screen.window(MESSAGE), "the remark")
    desktop.screen.screenshot("repeat-2-quick-mask")
    desktop.screen.activate(message)
    desktop.screen.key("Escape")
    desktop._shortcut("shift+q")
    wait_for(lambda: desktop.gimp.json("print(json.dumps(not Gimp.Selection.is_empty(img)))"), "the selection")
    assert desktop.gimp.json("print(json.dumps([item.get_name() for item in img.get_channels()]))") == []
