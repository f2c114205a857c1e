"""GIMP, the plug-in and the real engine with the weights that ship, on a real photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sandbox import GimpSession

from sama_core import Engine, Prompt
from sama_core.inference.embedding_cache import EmbeddingCache

PROJECT = Path(__file__).resolve().parents[2]
PHOTO = PROJECT / "demo" / "photos" / "chelsea.png"
CLICKS = [(110.0, 60.0), (120.0, 190.0), (250.0, 180.0)]

OPEN = """
img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r}))
layer = img.get_layers()[0]
path = Gimp.Path.new(img, "clicks")
img.insert_path(path, None, 0)
"""
CLICK = """
for stroke in path.get_strokes():
    path.remove_stroke(stroke)
control = [number for point in {points!r} for _ in range(3) for number in point]
path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, control, False)
"""
SELECT = """
answer = call("plug-in-sama-select", image=img, drawables=[layer], include_path=path)
print(json.dumps([answer["status"], answer["error"]]))
"""
MATTE = """
answer = call("plug-in-sama-alpha-matte", image=img, drawables=[layer], include_path=path, output="alpha")
box = Gegl.Rectangle.new(0, 0, img.get_width(), img.get_height())
open({target!r}, "wb").write(layer.get_buffer().get(box, 1.0, "A u8", Gegl.AbyssPolicy.NONE))
print(json.dumps([answer["status"], answer["error"]]))
"""


@pytest.fixture
def photo(gimp: GimpSession) -> Iterator[Path]:
    copy = gimp.files / "real-engine.png"
    with Image.open(PHOTO) as picture:
        # one pixel apart from the photo of other tests: its embedding is in no cache yet
        changed = np.asarray(picture.convert("RGB")).copy()
    changed[0, 0] = (1, 2, 3)
    Image.fromarray(changed).save(copy)
    gimp.run(OPEN.format(photo=str(copy)))
    yield copy
    gimp.run("img.delete()")


def test_further_clicks_send_and_encode_nothing_and_the_alpha_is_the_engines(
    gimp: GimpSession, photo: Path, engine_stats: Callable[[], dict[str, Any]], stop_engine: Callable[[], None]
):
    stop_engine()
    for count in (1, 2, 3):
        gimp.run(CLICK.format(points=CLICKS[:count]))
        assert gimp.json(SELECT, timeout=300) == ["success", ""]
    target = gimp.files / "alpha.raw"
    assert gimp.json(MATTE.format(target=str(target)), timeout=300) == ["success", ""]
    stats = engine_stats()["stats"]
    assert (stats["encodes"], stats["uploads"], stats["jobs"]) == (1, 1, 4)

    engine = Engine(device="cpu", cache=EmbeddingCache(None))
    rgb = np.asarray(Image.open(photo).convert("RGB"))
    engine.set_image(rgb)
    expected = engine.matte(Prompt(CLICKS, [1, 1, 1])).alpha
    written = np.frombuffer(target.read_bytes(), np.uint8).reshape(expected.shape)
    # two processes may add in another order: a last bit of float32 is no difference
    assert np.abs(written.astype(int) - expected).max() <= 1
    assert 0.3 < (written > 127).mean() < 0.95


def test_the_guides_script_does_what_it_says(gimp: GimpSession, photo: Path):
    guide = (PROJECT / "docs" / "guide.md").read_text(encoding="utf-8")
    script = guide.split("```python\n")[1].split("```")[0]
    result = photo.with_name("cut.png")
    for place, file in (("/home/me/photo.png", photo), ("/home/me/cut.png", result)):
        assert place in script
        script = script.replace(place, str(file))
    gimp.run(script + "\nimage.delete()")
    with Image.open(result) as cut:
        assert cut.mode in ("RGBA", "LA")
        alpha = np.asarray(cut.getchannel("A"))
    assert alpha[60, 110] > 250 and alpha[180, 250] > 250 and 0.1 < (alpha > 127).mean() < 0.9
