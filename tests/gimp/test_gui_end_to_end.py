"""A person's way: click with the Path tool, open the plug-in by its name, press its button, undo, redo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gui import GimpOnScreen, Screen, wait_for
from sandbox import GimpSession, Workspace

sys.path.append(str(Path(__file__).resolve().parents[2]))
from installer import gimp_settings

PHOTO = Path(__file__).resolve().parents[2] / "demo" / "photos" / "chelsea.png"
#: On the cat: forehead, left cheek, chest.
CLICKS = [(200, 90), (150, 190), (300, 230)]

SELECTION = """
import hashlib
box = Gegl.Rectangle.new(0, 0, img.get_width(), img.get_height())
data = img.get_selection().get_buffer().get(box, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)
some, inside = sum(v > 0 for v in data), sum(v > 127 for v in data)
print(json.dumps([hashlib.sha256(data).hexdigest(), some, inside, len(data)]))
"""
MASK = """
import hashlib
mask = layer.get_mask()
if mask is None:
    print("null")
else:
    box = Gegl.Rectangle.new(0, 0, mask.get_width(), mask.get_height())
    data = mask.get_buffer().get(box, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)
    soft = sum(0 < v < 255 for v in data)
    print(json.dumps([hashlib.sha256(data).hexdigest(), soft, sum(v > 127 for v in data), len(data)]))
"""


@pytest.fixture(scope="module")
def desktop(workspace: Workspace) -> Iterator[GimpOnScreen]:
    with (
        Screen(workspace) as screen,
        GimpSession(workspace, "pytest-gimp-window", window=True, environment=screen.environment) as gimp,
    ):
        yield GimpOnScreen(screen, gimp)


@pytest.fixture
def photo(desktop: GimpOnScreen) -> Path:
    copy = desktop.gimp.files / PHOTO.name
    copy.write_bytes(PHOTO.read_bytes())
    return copy


def test_clicks_become_a_selection_that_can_be_undone_and_redone(desktop: GimpOnScreen, photo: Path):
    gimp = desktop.gimp
    desktop.show(photo)
    desktop.click_path(CLICKS)
    assert desktop.anchors() == [[float(x), float(y)] for x, y in CLICKS]
    desktop.screen.screenshot("select-1-clicks")
    nothing = gimp.json(SELECTION)
    assert nothing[1] == 0

    dialog = desktop.open_by_search("sama select", "^SAMA Select")
    desktop.screen.screenshot("select-2-dialog")
    desktop.accept(dialog, "^SAMA Select")
    desktop.wait_for_answer(lambda: gimp.json(SELECTION)[1] > 0, "a selection")
    desktop.screen.screenshot("select-3-selection")
    selected = gimp.json(SELECTION)
    assert 0.05 < selected[2] / selected[3] < 0.95

    desktop.undo()
    wait_for(lambda: gimp.json(SELECTION) == nothing, "Ctrl+Z to bring the empty selection back")
    desktop.screen.screenshot("select-4-undone")
    desktop.redo()
    wait_for(lambda: gimp.json(SELECTION) == selected, "Ctrl+Y to bring the selection back")

    gimp.run("Gimp.Selection.none(img)")
    answer = gimp.json(
        "path = img.get_paths()[0]\n"
        "answer = call('plug-in-sama-select', image=img, drawables=[layer], include_path=path)\n"
        "print(json.dumps([answer['status'], answer['error']]))"
    )
    assert answer == ["success", ""]
    assert gimp.json(SELECTION) == selected, "the dialog and the procedure give the same selection"


def test_clicks_become_a_layer_mask_that_can_be_undone_and_redone(desktop: GimpOnScreen, photo: Path):
    gimp = desktop.gimp
    desktop.show(photo)
    desktop.click_path(CLICKS)
    assert gimp.json(MASK) is None

    dialog = desktop.open_by_search("sama alpha", "SAMA Alpha Matte")
    desktop.screen.screenshot("matte-1-dialog")
    desktop.accept(dialog, "SAMA Alpha Matte")
    desktop.wait_for_answer(lambda: gimp.json(MASK), "a layer mask")
    desktop.screen.screenshot("matte-2-mask")
    mask = gimp.json(MASK)
    assert 0.05 < mask[2] / mask[3] < 0.95
    assert mask[1] > 0, "a matte has soft edges"

    desktop.undo()
    wait_for(lambda: gimp.json(MASK) is None, "Ctrl+Z to take the layer mask away")
    desktop.redo()
    wait_for(lambda: gimp.json(MASK) == mask, "Ctrl+Y to bring the layer mask back")
    desktop.undo()
    wait_for(lambda: gimp.json(MASK) is None, "Ctrl+Z to take the layer mask away again")
    desktop.screen.screenshot("matte-3-undone")


def test_what_gimp_remembers_of_it_goes_with_uninstalling(desktop: GimpOnScreen, photo: Path):
    # The last test of its desktop: GIMP writes most of that when it is closed.
    profile = desktop.gimp.workspace.profile
    desktop.show(photo)
    desktop.open_by_search("sama select", "^SAMA Select")
    desktop.screen.key("Escape")
    wait_for(lambda: not desktop.screen.window("^SAMA Select"), "the dialog to close")
    desktop.gimp.run("img.clean_all()\ndisplay.delete()")
    desktop.gimp.close()
    assert {"action-history", "shortcutsrc", "pluginrc"} <= mentioning_sama(profile)
    gimp_settings.forget(profile)
    # pluginrc is GIMP's list of the plug-ins that are there; it drops SAMA from it at its next start.
    assert mentioning_sama(profile) == {"pluginrc"}


def mentioning_sama(profile: Path) -> set[str]:
    """The files of GIMP's settings that name the plug-in or one of its commands."""
    files = [path for path in profile.rglob("*") if path.is_file() and "sama_select" not in path.parts]
    named = [path for path in files if b"plug-in-sama" in path.read_bytes() or b"sama_select" in path.read_bytes()]
    return {str(path.relative_to(profile)) for path in named}
