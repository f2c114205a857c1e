"""A screen that nobody sees, and a hand on GIMP's windows there: real clicks and keys by xdotool."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image
from sandbox import GimpSession, Workspace
from sandbox.workspace import LOGS, ROOT

#: Where the pictures of a run are kept, for a person to look at.
SCREENSHOTS = ROOT / "build" / "gui"
WIDTH, HEIGHT = 1100, 760
#: A place on the screen where GIMP shows its canvas: the middle of the image window as it first opens.
ON_CANVAS = (440, 320)
#: The title of GIMP's error dialog.
MESSAGE = "^GIMP Message$"

T = TypeVar("T")


class GuiError(AssertionError):
    """Something did not show up on the screen in time."""


def wait_for(probe: Callable[[], T | None], what: str, seconds: float = 20) -> T:
    """Call `probe` until it gives something true, and return that.

    Raises:
        GuiError: naming `what`, after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise GuiError(f"Waited {seconds:.0f} s in vain for {what}. Screenshots are in {SCREENSHOTS}.")
        time.sleep(0.1)


class Screen:
    """An X server without a monitor, on a display number of its own choosing, with a window manager.

    A context manager.

    Attributes:
        environment: DISPLAY and XAUTHORITY for the programs that shall appear on it.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Start both.

        Raises:
            GuiError: the X server did not come up within a minute.
        """
        self.workspace = workspace
        self._processes: list[subprocess.Popen[bytes]] = []
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log = (LOGS / "screen.log").open("wb")
        self._frame_buffer = workspace.folder / "screen"
        self._frame_buffer.mkdir(exist_ok=True)
        authority = workspace.folder / "Xauthority"
        authority.write_bytes(_any_display_cookie())
        authority.chmod(0o600)
        try:
            self.environment = {"DISPLAY": self._start_server(authority), "XAUTHORITY": str(authority)}
            # Windows get the keyboard only where something manages them.
            self._start("openbox", "--sm-disable")
        except BaseException:
            self.close()
            raise

    def _start(self, *command: str, descriptors: tuple[int, ...] = ()) -> None:
        self._processes.append(
            subprocess.Popen(
                self.workspace.gimp.command(self.workspace.folder, *command),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=self.workspace.environment(getattr(self, "environment", {})),
                cwd="/",
                pass_fds=descriptors,
            )
        )

    def _start_server(self, authority: Path) -> str:
        reading, writing = os.pipe()
        size = f"{WIDTH}x{HEIGHT}x24"
        options = ["-displayfd", str(writing), "-nolisten", "tcp", "-auth", str(authority)]
        try:
            self._start(
                *("Xvfb", "-screen", "0", size, "-fbdir", str(self._frame_buffer), *options),
                descriptors=(writing,),
            )
            os.close(writing)
            number = _first_line(reading, 60)
        finally:
            os.close(reading)
        if not number:
            raise GuiError(f"The X server did not start; see {LOGS / 'screen.log'}.")
        return f":{number}"

    def xdotool(self, *arguments: object) -> str:
        """Run xdotool and return its output; a search that finds nothing returns an empty text."""
        done = subprocess.run(
            self.workspace.gimp.command(self.workspace.folder, "xdotool", *map(str, arguments)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.workspace.environment(self.environment),
            cwd="/",
            timeout=30,
            check=False,
        )
        self._log.write(done.stderr.encode())
        return done.stdout.strip()

    def window(self, name: str) -> str | None:
        """Return the id of the visible window whose title matches the regular expression `name`, or None."""
        found = self.xdotool("search", "--onlyvisible", "--name", name).split()
        return found[-1] if found else None

    def activate(self, window: str) -> None:
        """Bring a window to the front and give it the keyboard."""
        self.xdotool("windowactivate", "--sync", window)
        time.sleep(0.3)

    def key(self, *keys: str) -> None:
        """Press keys, by their X names, in the active window."""
        self.xdotool("key", *keys)
        time.sleep(0.4)

    def type(self, text: str) -> None:
        """Type text as a person would."""
        self.xdotool("type", "--delay", 40, text)
        time.sleep(0.5)

    def click(self, x: int, y: int) -> None:
        """Click with the left button at a place of the screen."""
        self.xdotool("mousemove", x, y)
        time.sleep(0.15)
        self.xdotool("click", 1)
        time.sleep(0.3)

    def screenshot(self, name: str) -> Path:
        """Save what the screen shows as SCREENSHOTS/NAME.png and return that path."""
        # GIMP draws selections and layer masks when it finds the time.
        time.sleep(0.8)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        dump = (self._frame_buffer / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", dump[:100])
        width, height, stride, colours = header[4], header[5], header[12], header[19]
        start = header[0] + 12 * colours
        image = Image.frombuffer("RGB", (width, height), dump[start:], "raw", "BGRX", stride, 1)
        path = SCREENSHOTS / f"{name}.png"
        image.save(path)
        return path

    def close(self) -> None:
        """End window manager and server."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _first_line(descriptor: int, seconds: float) -> str:
    """Return the first line that comes, or an empty text when none came in time.

    The whole line: the X server writes its newline apart, and ends when nobody is there to read it.
    """
    line = b""
    deadline = time.monotonic() + seconds
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(descriptor, 16) if ready else b""
        if not part:
            return ""
        line += part
    return line.decode().strip()


def _any_display_cookie() -> bytes:
    """Return an Xauthority entry for any host and display: nobody else on the machine may use the screen."""
    name, cookie = b"MIT-MAGIC-COOKIE-1", secrets.token_bytes(16)
    fields = (b"", b"", name, cookie)
    return b"\xff\xff" + b"".join(struct.pack(">H", len(field)) + field for field in fields)


class GimpOnScreen:
    """GIMP with its windows on a Screen: shows one image at a time at 100 %, clicks on it, opens procedures.

    Attributes:
        gimp: the session, whose snippets find the shown image as `img` and its first layer as `layer`.
    """

    def __init__(self, screen: Screen, gimp: GimpSession) -> None:
        self.screen = screen
        self.gimp = gimp
        self._main = ""

    def show(self, picture: Path) -> None:
        """Close what is shown, open `picture` and wait for its window. It must fit the screen at 100 %."""
        message = self.screen.window(MESSAGE)
        if message:
            self.screen.activate(message)
            self.screen.key("Escape")
        self.gimp.run(
            "globals().get('display') and display.delete()\n"
            f"img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({str(picture)!r}))\n"
            "layer = img.get_layers()[0]\n"
            "display = Gimp.Display.new(img)\n"
            "Gimp.displays_flush()"
        )
        self._main = wait_for(lambda: self.screen.window(". GIMP$"), "GIMP's window with the image", 60)
        self.screen.activate(self._main)
        time.sleep(0.5)

    def click_path(self, points: list[tuple[int, int]]) -> None:
        """Click `points` (image pixels) with the Path tool: one open stroke of as many anchors."""
        left, top = self._canvas_origin()
        for x, y in points:
            self.screen.click(left + x, top + y)
        wait_for(lambda: len(self.anchors()) == len(points), f"a path of {len(points)} anchors")

    def anchors(self) -> list[list[float]]:
        """Return the anchors of the image's first path, in image pixels."""
        return self.gimp.json(
            "paths = img.get_paths()\n"
            "found = []\n"
            "for stroke in paths[0].get_strokes() if paths else []:\n"
            "    points = paths[0].stroke_get_points(stroke)[1]\n"
            "    found += [[points[i + 2], points[i + 3]] for i in range(0, len(points), 6)]\n"
            "print(json.dumps(found))"
        )

    def _canvas_origin(self) -> tuple[int, int]:
        """Find where on the screen pixel (0, 0) of the image lies: click once, read the anchor, remove it."""
        self.screen.key("b")
        for _attempt in range(4):
            self.screen.click(*ON_CANVAS)
            # The first click after the keyboard went elsewhere may be swallowed.
            with contextlib.suppress(GuiError):
                x, y = wait_for(self.anchors, "an anchor", 2)[0]
                break
            self.screen.activate(self._main)
            self.screen.key("b")
        else:
            self.screen.screenshot("path-tool-failed")
            raise GuiError("The Path tool makes no anchor where it is clicked; see path-tool-failed.png.")
        self.gimp.run("img.remove_path(img.get_paths()[0])\nGimp.displays_flush()")
        # Leaving the tool and coming back makes it forget the path that is gone.
        self.screen.key("n")
        self.screen.key("b")
        return round(ON_CANVAS[0] - x), round(ON_CANVAS[1] - y)

    def open_by_search(self, label: str, dialog: str) -> str:
        """Open a procedure by GIMP's action search and return its dialog's window id.

        Args:
            label: what to type, enough of the menu label for it to be the first hit.
            dialog: regular expression for the dialog's title.
        """
        self.screen.activate(self._main)
        self.screen.key("slash")
        time.sleep(0.5)
        self.screen.type(label)
        time.sleep(0.5)
        self.screen.key("Return")
        try:
            window = wait_for(lambda: self.screen.window(dialog), f"the dialog {dialog}")
        except GuiError:
            self.screen.screenshot("dialog-failed")
            raise
        # Out of the way, so that no tooltip covers the dialog.
        self.screen.xdotool("mousemove", 2, HEIGHT - 2)
        time.sleep(0.7)
        self.screen.activate(window)
        return window

    def accept(self, window: str, dialog: str, seconds: float = 120) -> None:
        """Press the right-most button at a dialog's foot, its OK, and wait until the dialog is gone."""
        size = dict(re.findall(r"(\w+)=(\d+)", self.screen.xdotool("getwindowgeometry", "--shell", window)))
        self.screen.xdotool("mousemove", "--window", window, int(size["WIDTH"]) - 68, int(size["HEIGHT"]) - 45)
        time.sleep(0.2)
        self.screen.xdotool("click", 1)
        wait_for(lambda: not self.screen.window(dialog), f"the dialog {dialog} to close", seconds)

    def wait_for_answer(self, probe: Callable[[], T | None], what: str, seconds: float = 180) -> T:
        """Do as `wait_for`, but give up at once when GIMP shows an error.

        Raises:
            GuiError: naming the screenshot that shows what GIMP says.
        """

        def answer() -> T | None:
            if self.screen.window(MESSAGE):
                picture = self.screen.screenshot("error")
                raise GuiError(f"GIMP shows a message instead of {what}; see {picture}.")
            return probe()

        return wait_for(answer, what, seconds)

    def undo(self) -> None:
        """Press Ctrl+Z in the image's window."""
        self._shortcut("ctrl+z")

    def redo(self) -> None:
        """Press Ctrl+Y in the image's window."""
        self._shortcut("ctrl+y")

    def _shortcut(self, keys: str) -> None:
        self.screen.activate(self._main)
        self.screen.key(keys)
