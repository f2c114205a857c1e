"""Clicks on a sample photo, asked of the engine as the plug-in asks, and a picture of what came of them.

Run by `installer.self_check` in the engine's own Python, which has Pillow:  python -m installer.trial PICTURE
It writes one JSON object: what went wrong as `error`, or `device`, and for each command the mean of its answer on the
thing clicked on and off it, 0 to 255.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from installer import plugin_files
from installer.package import ROOT

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTO = ROOT / "demo" / "photos" / "chelsea.png"
#: The matte too: what it computes with is compiled on first use, and that minute is better spent here than in GIMP.
VERBS = ("select", "matte")
#: On the cat, in pixels: forehead, nose, chest.
CLICKS = ((110.0, 60.0), (250.0, 180.0), (60.0, 270.0))
#: Rectangles that are all cat (head, chin) and all background: left, top, right, bottom.
ON_THE_CAT, OFF_THE_CAT = (100, 60, 330, 230), (405, 20, 445, 200)
_RED = (255, 70, 70)
#: Pixels between the two halves of the picture, and the radius of the mark of a click.
_GAP, _DOT = 8, 6


def main(picture: Path) -> dict[str, object]:
    """Ask the engine, and write the picture; return what there is to say of it."""
    # First: an engine that cannot be started says why.
    plugin_files.module("launch").connect(lambda fraction, text: None)
    from PIL import Image, ImageStat

    try:
        photo = Image.open(PHOTO).convert("RGB")
    except (OSError, ValueError) as error:
        return {
            "error": f"The sample photo {PHOTO} cannot be read ({error}). Download SAMA for GIMP again, unpack all of "
            "it, and run the installer there."
        }
    levels, device, masks = {}, "", []
    for verb in VERBS:
        answer = _ask(verb, photo)
        masks.append(Image.frombytes("L", photo.size, answer.alpha))
        levels[verb] = [ImageStat.Stat(masks[-1].crop(box)).mean[0] for box in (ON_THE_CAT, OFF_THE_CAT)]
        device = answer.device
    try:
        _write(picture, photo, masks[0])
    except OSError as error:
        return {"error": f"its answer cannot be kept ({error}). Make that place writable and run this again."}
    return {"device": device, "levels": levels}


def _ask(verb: str, photo: Image):
    job, prompt = plugin_files.module("job"), plugin_files.module("prompt")
    pixels = photo.tobytes()
    image_id = hashlib.sha256(f"{photo.width}x{photo.height}:".encode() + pixels).hexdigest()
    picture = job.Pixels(photo.width, photo.height, [pixels], image_id)
    clicks = prompt.Prompt(points=list(CLICKS), labels=[1] * len(CLICKS))
    return job.ask_engine(job.Job(verb, picture, clicks, "lite"), lambda fraction, text: None, job.Timing())


def _write(file: Path, photo: Image, mask: Image) -> None:
    """Left the photo with the clicks, right what was selected half red, and the rest half as bright."""
    from PIL import Image, ImageDraw

    both = Image.new("RGB", (2 * photo.width + _GAP, photo.height), "white")
    both.paste(photo)
    marks = ImageDraw.Draw(both)
    for x, y in CLICKS:
        marks.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), "white", "black", 2)
    red, dark = (Image.blend(photo, Image.new("RGB", photo.size, ground), 0.5) for ground in (_RED, "black"))
    both.paste(Image.composite(red, dark, mask), (photo.width + _GAP, 0))
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    both.save(file)


if __name__ == "__main__":
    try:
        said = main(Path(sys.argv[1]))
    # The plug-in's own errors; their class exists only once its module is loaded.
    except plugin_files.module("errors").PluginError as error:
        said = {"error": str(error)}
    print(json.dumps(said))
