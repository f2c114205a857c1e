"""The main job, in real GIMP 3 without a screen: three clicks on a photo become a selection and a cut-out.

usage: python demo/run.py [--photo FILE --point X,Y [--point X,Y ...]]

Writes photo.png, overlay.png, cutout.png (RGBA) and checker.png to build/demo. GIMP is the system's or the
private one of the tests; its profile, and the plug-in in it, are thrown away at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gimp"))
from sandbox import GimpError, GimpNotFound, GimpSession, Workspace, engine_process, find_gimp  # noqa: E402

PHOTO = ROOT / "demo" / "photos" / "chelsea.png"
#: On Chelsea: forehead, nose, chest; (x, y) in pixels.
CLICKS = [(110.0, 60.0), (250.0, 180.0), (60.0, 270.0)]
OUTPUT = ROOT / "build" / "demo"
PLUG_IN = ROOT / "gimp_plugin" / "sama_select"
TINT = (230, 30, 90)
CHECKER = 12

OPEN = """
import time
img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r}))
layer = img.get_layers()[0]
path = Gimp.Path.new(img, "clicks")
img.insert_path(path, None, 0)
control = [number for point in {points!r} for _ in range(3) for number in point]
path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, control, False)
print(json.dumps([img.get_width(), img.get_height()]))
"""
SELECT = """
answer = call("plug-in-sama-select", image=img, drawables=[layer], include_path=path)
if answer["status"] == "success":
    box = Gegl.Rectangle.new(0, 0, img.get_width(), img.get_height())
    data = img.get_selection().get_buffer().get(box, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)
    open({selection!r}, "wb").write(data)
print(json.dumps([answer["status"], answer["error"]]))
"""
MATTE = """
answer = call("plug-in-sama-alpha-matte", image=img, drawables=[layer], include_path=path,
              output="new-layer", decontaminate=True)
if answer["status"] == "success":
    layer.set_visible(False)
    if not Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, img, Gio.File.new_for_path({cutout!r}), None):
        answer = dict(status="execution_error", error="GIMP could not export the cut-out: " +
        pdb.get_last_error())
print(json.dumps([answer["status"], answer["error"]]))
"""


class DemoFailed(Exception):
    """The demo did not come to its end; the text says why."""


def main() -> int:
    """Return 0 when all four pictures are written and look sane, else 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(description="Three clicks in GIMP become a selection and a cut-out.")
    parser.add_argument("--photo", type=Path, help="another photo than the bundled one; needs --point")
    parser.add_argument("--point", type=point, action="append", help="X,Y of a click on the thing, in pixels")
    arguments = parser.parse_args()
    if arguments.photo and not arguments.point:
        parser.error("--photo needs at least one --point X,Y on the thing to cut out")
    try:
        run(arguments.photo or PHOTO, arguments.point or CLICKS)
    except (DemoFailed, GimpError, GimpNotFound, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def point(text: str) -> tuple[float, float]:
    """Parse X,Y."""
    x, y = text.split(",")
    return float(x), float(y)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print what is being done, and how many seconds it took."""
    print(f"  {name:<44}", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - start:7.2f} s", flush=True)


def run(photo: Path, clicks: list[tuple[float, float]]) -> None:
    """Do it all.

    Raises:
        DemoFailed, GimpError, GimpNotFound, OSError, RuntimeError: with a sentence for the user.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        picture = Image.open(photo).convert("RGB")
    except UnidentifiedImageError:
        raise DemoFailed(f"{photo} cannot be read as a picture. Give a PNG, JPEG or TIFF file.") from None
    with step("find GIMP"):
        gimp = find_gimp()
    workspace = Workspace(gimp, [PLUG_IN])
    workspace.record_engine(Path(sys.executable))
    try:
        picture.save(OUTPUT / "photo.png")
        picture.save(workspace.files / "photo.png")
        device = cut_out(workspace, clicks)
        selection = read_mask(workspace.files / "selection.raw", picture.size)
        with Image.open(workspace.files / "cutout.png") as exported:
            cutout = exported.convert("RGBA") if exported.mode in ("RGBA", "LA") else None
    finally:
        engine_process.stop(workspace.sama_home)
        workspace.remove("demo")
    if cutout is None:
        raise DemoFailed("The exported cut-out has no alpha channel.")
    check("selection", selection, clicks)
    check("cut-out", np.asarray(cutout)[..., 3], clicks)
    overlay(picture, selection, clicks).save(OUTPUT / "overlay.png")
    cutout.save(OUTPUT / "cutout.png")
    over_checkerboard(cutout).save(OUTPUT / "checker.png")

    print(f"\nGIMP {gimp.version} ({gimp.tree or 'of this system'}), engine on {device}")
    for name in ("photo", "overlay", "cutout", "checker"):
        print(OUTPUT / f"{name}.png")


def cut_out(workspace: Workspace, clicks: list[tuple[float, float]]) -> str:
    """Run both procedures in GIMP; the results are files in the workspace. Return the engine's device."""
    names = {name: str(workspace.files / name) for name in ("photo.png", "selection.raw", "cutout.png")}
    with step("start GIMP with the plug-in"):
        session = GimpSession(workspace, "demo-gimp")
    with session:
        with step(f"open the photo, put {len(clicks)} clicks on it"):
            session.run(OPEN.format(photo=names["photo.png"], points=clicks))
        with step("SAMA Select (starts the engine)"):
            demand_success(session.json(SELECT.format(selection=names["selection.raw"]), timeout=300))
        with step("SAMA Alpha Matte, export the cut-out"):
            demand_success(session.json(MATTE.format(cutout=names["cutout.png"]), timeout=300))
        return engine_process.hello(workspace.sama_home)["device"]


def demand_success(answer: list[str]) -> None:
    """Raise DemoFailed with GIMP's own text unless the procedure succeeded."""
    status, error = answer
    if status != "success":
        raise DemoFailed(f"The plug-in returned {status}: {error}")


def read_mask(file: Path, size: tuple[int, int]) -> np.ndarray:
    """Return the H×W uint8 mask that GIMP wrote row by row."""
    width, height = size
    return np.frombuffer(file.read_bytes(), np.uint8).reshape(height, width)


def check(what: str, alpha: np.ndarray, clicks: list[tuple[float, float]]) -> None:
    """Raise DemoFailed when `alpha` cannot be right: a click left out, or nothing or everything inside."""
    share = float((alpha > 127).mean())
    if not 0.002 < share < 0.998:
        raise DemoFailed(f"The {what} covers {share:.1%} of the photo.")
    missed = [(x, y) for x, y in clicks if alpha[int(y), int(x)] < 128]
    if missed:
        raise DemoFailed(f"The {what} leaves out the click at {missed[0]}.")


def overlay(picture: Image.Image, selection: np.ndarray, clicks: list[tuple[float, float]]) -> Image.Image:
    """Return the photo with the selection tinted, the rest darkened, and the clicks as dots."""
    colours = np.asarray(picture, np.float32)
    weight = selection[..., None].astype(np.float32) / 255
    tinted = colours * (0.45 + 0.2 * weight) + weight * 0.35 * np.array(TINT, np.float32)
    result = Image.fromarray(tinted.round().clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(result)
    radius = max(3, min(picture.size) // 70)
    for x, y in clicks:
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius),
            fill="white",
            outline="black",
            width=max(1, radius // 3),
        )
    return result


def over_checkerboard(cutout: Image.Image) -> Image.Image:
    """Return the cut-out over the grey squares that stand for transparency."""
    rows, columns = np.indices((cutout.height, cutout.width)) // CHECKER
    squares = np.where((rows + columns) % 2, 150, 105).astype(np.uint8)
    board = Image.fromarray(squares).convert("RGBA")
    board.alpha_composite(cutout)
    return board.convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
