"""GIMP stays usable while the engine works: what the user does to the image then, and what one Ctrl+Z takes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gui import MESSAGE, GimpOnScreen, Screen, wait_for
from ramp_session import ENGINE, INSIDE, RampSession
from sandbox import GimpInstallation, GimpSession, Workspace, engine_process

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "sama_select"
PHOTO = Path(__file__).resolve().parents[2] / "demo" / "photos" / "chelsea.png"
COMMANDS = {"select": ("sama select", "^SAMA Select"), "matte": ("sama alpha", "SAMA Alpha Matte")}


class Hand:
    """A person at GIMP's window, whose engine is the stand-in."""

    def __init__(self, desktop: GimpOnScreen, ramp: RampSession, photo: Path) -> None:
        self.desktop, self.ramp, self.photo, self.gimp = desktop, ramp, photo, desktop.gimp

    def fresh(self) -> None:
        """Show the photo with one click of a path on it."""
        self.ramp.order()
        self.desktop.show(self.photo)
        self.gimp.run("click(img, (200, 90))")

    @contextmanager
    def at_work(self, verb: str) -> Iterator[None]:
        """Start the command by its dialog; within the block the engine is at work, after it the run is over."""
        label, title = COMMANDS[verb]
        window = self.desktop.open_by_search(label, title)
        (self.ramp.home / "working").unlink(missing_ok=True)
        self.ramp.order(hold=True)
        self.desktop.accept(window, title)
        wait_for(lambda: (self.ramp.home / "working").exists(), "the engine to be asked", 60)
        try:
            yield
        finally:
            self.ramp.order()
        wait_for(lambda: not plug_in_runs(self.ramp), "the plug-in to end", 60)
        time.sleep(0.5)

    def message(self) -> bool:
        return self.desktop.screen.window(MESSAGE) is not None


def plug_in_runs(ramp: RampSession) -> bool:
    """Say whether a process of the plug-in is at work in this GIMP."""
    mark = f"SAMA_HOME={ramp.home}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        except OSError:
            continue
        if b"sama_select.py" in command and mark in environment.split(b"\0"):
            return True
    return False


@pytest.fixture(scope="module")
def hand(gimp_installation: GimpInstallation) -> Iterator[Hand]:
    workspace = Workspace(gimp_installation, [PLUG_IN])
    workspace.record_engine(Path(sys.executable), [str(ENGINE)])
    photo = workspace.files / PHOTO.name
    photo.write_bytes(PHOTO.read_bytes())
    try:
        with (
            Screen(workspace) as screen,
            GimpSession(workspace, "pytest-gimp-meanwhile", window=True, environment=screen.environment) as gimp,
        ):
            gimp.run(INSIDE.read_text())
            yield Hand(GimpOnScreen(screen, gimp), RampSession(gimp), photo)
    finally:
        engine_process.stop(workspace.sama_home)
        workspace.remove("meanwhile")


STATE = "print(json.dumps(fingerprint(img)))"


@pytest.mark.parametrize(
    ("verb", "change"),
    [
        ("select", "img.scale(200, 150)"),
        ("select", "img.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 20, 20)"),
        ("matte", "img.rotate(Gimp.RotationType.DEGREES90)"),
        ("matte", "img.convert_grayscale()"),
        ("matte", "data = bytearray(read(layer, \"R'G'B' u8\")); data[:900] = bytes(900); "
         "write(layer, \"R'G'B' u8\", data)"),
        ("matte", "layer.add_mask(layer.create_mask(Gimp.AddMaskType.BLACK))"),
        ("matte", "add_layer(img, 'other', 9, 9); img.remove_layer(layer)"),
        ("matte", "img.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 20, 20); "
         "Gimp.Selection.float(img, [layer], 3, 3)"),
    ],
)  # fmt: skip
def test_where_the_result_no_longer_fits_nothing_is_written(hand: Hand, verb: str, change: str):
    hand.fresh()
    with hand.at_work(verb):
        hand.gimp.run(change + "\nGimp.displays_flush()")
        changed = hand.gimp.json(STATE)
    assert hand.message()
    assert hand.gimp.json(STATE) == changed
    assert "fault of its own" not in hand.gimp.log()


def test_a_selection_that_was_the_prompt_counts_beside_clicks_on_what_to_leave_out(hand: Hand):
    hand.fresh()
    hand.gimp.run(
        "img.remove_path(img.get_paths()[0])\nclick(img, (60, 50), name='exclude')\n"
        "img.select_rectangle(Gimp.ChannelOps.REPLACE, 50, 40, 100, 80)"
    )
    with hand.at_work("matte"):
        hand.gimp.run("img.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 20, 20)\nGimp.displays_flush()")
        changed = hand.gimp.json(STATE)
    assert hand.message()
    assert hand.gimp.json(STATE) == changed


def test_an_image_closed_meanwhile_is_no_fault(hand: Hand):
    hand.fresh()
    with hand.at_work("matte"):
        hand.gimp.run("display.delete(); display = None")
    assert "fault of its own" not in hand.gimp.log()
    assert "Traceback" not in hand.gimp.log()


@pytest.mark.parametrize(
    ("change", "corner"),
    [
        ("img.crop(200, 150, 100, 50)", (100, 50)),
        ("img.resize(600, 500, 40, 30)", (0, 0)),
        ("layer.set_offsets(17, -9)", (0, 0)),
        ("add_layer(img, 'other', 9, 9)", (0, 0)),
        ("img.convert_precision(P.FLOAT_LINEAR)", (0, 0)),
        ("layer.set_name('cat'); img.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 20, 20)", (0, 0)),
    ],
)
def test_where_it_can_the_result_lies_where_the_picture_is_now(hand: Hand, change: str, corner: tuple[int, int]):
    hand.fresh()
    with hand.at_work("matte"):
        hand.gimp.run(change + "\nGimp.displays_flush()")
    assert not hand.message()
    size, first = hand.gimp.json(
        "mask = layer.get_mask()\n"
        "print(json.dumps([[mask.get_width(), mask.get_height(), *list(mask.get_offsets())[1:]] =="
        " [layer.get_width(), layer.get_height(), *list(layer.get_offsets())[1:]], read(mask, 'Y u8')[0]]))"
    )
    assert size is True
    assert first == corner[0] + 3 * corner[1]


@pytest.mark.parametrize("output", ["layer-mask", "alpha", "new-layer"])
def test_a_second_run_is_one_undo_step(hand: Hand, output: str):
    hand.fresh()
    run = (
        f"answer = run(img, img.get_selected_drawables(), 'matte', output='{output}')\n"
        "Gimp.displays_flush()\nprint(json.dumps(answer['status']))"
    )
    look = (
        "top = img.get_layers()[0]\n"
        "notes = [len(item.get_parasite_list()) for item in (*img.get_layers(), top.get_mask()) if item]\n"
        "print(json.dumps([fingerprint(img), notes]))"
    )
    nothing = hand.gimp.json(look)
    assert hand.gimp.json(run) == "success"
    first = hand.gimp.json(look)
    hand.ramp.order(shift=100)
    assert hand.gimp.json(run) == "success"
    second = hand.gimp.json(look)
    assert second != first
    hand.desktop.undo()
    wait_for(lambda: hand.gimp.json(look) == first, "Ctrl+Z to bring the first result back")
    hand.desktop.redo()
    wait_for(lambda: hand.gimp.json(look) == second, "Ctrl+Y to bring the second result back")
    hand.desktop.undo()
    hand.desktop.undo()
    wait_for(lambda: hand.gimp.json(look) == nothing, "Ctrl+Z to take both back")
