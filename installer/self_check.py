"""Try what was installed: a click through the real engine, and GIMP's own list of procedures."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

from installer import checkout, engine_process, gimps
from installer.gimps import Profile

PROCEDURES = ("plug-in-sama-select", "plug-in-sama-alpha-matte")
#: The matte too: what it computes with is compiled on first use, and that minute is better spent here than in GIMP.
VERBS = ("select", "matte")
WIDTH, HEIGHT = 320, 240
#: The thing to be found: an orange disc on a blue ground that fades downwards. (centre x, centre y, radius)
_DISC = (190, 110, 60)
#: By how much the mask must be higher on the disc than off it, of 255, to count as an answer to the click.
_LEAST_CONTRAST = 96
_MARK = "SAMA-PROCEDURE"


def run(profiles: list[Profile]) -> bool:
    """Check engine and GIMPs, print what was found, and return whether all of it works."""
    print("\nTrying it out; the first time takes a minute or two …", flush=True)
    works = _check_engine()
    for profile in profiles:
        works = _check_gimp(profile) and works
    if not works:
        print(
            "What was installed stays in place. Mend the above and run this installer again, or remove all "
            "of it with --uninstall. "
            "docs/troubleshooting.md has more."
        )
    return works


def _check_engine() -> bool:
    launch = checkout.plugin_module("sama_launch")
    was_running = launch.running() is not None
    try:
        answers = {verb: _click(verb) for verb in VERBS}
    # The plug-in's own errors; their class exists only once its module is loaded.
    except checkout.plugin_module("sama_errors").PluginError as error:
        print(f"  Engine: FAILED. {error}")
        return False
    finally:
        if not was_running:
            engine_process.stop()
    for verb, answer in answers.items():
        inside, outside = mask_levels(answer.alpha)
        if inside - outside < _LEAST_CONTRAST:
            print(
                f"  Engine: FAILED. It answers, but its {verb} misses the thing clicked on (level {inside:.0f} on it, "
                f"{outside:.0f} off it). Download SAMA for GIMP again and run its installer: "
                "the model's file may be damaged."
            )
            return False
    print(f"  Engine: works, on {answers['select'].device}. A click on a test picture found the thing clicked on.")
    return True


def _click(verb: str) -> Any:
    job, prompt, timing = (checkout.plugin_module(name) for name in ("sama_job", "sama_prompt", "sama_timing"))
    pixels = test_picture()
    image_id = hashlib.sha256(f"{WIDTH}x{HEIGHT}:".encode() + pixels).hexdigest()
    picture = job.Picture(WIDTH, HEIGHT, [pixels], image_id)
    clicks = prompt.Prompt(points=[(float(_DISC[0]), float(_DISC[1]))], labels=[1])
    return job.run(job.Job(verb, picture, clicks, "lite"), lambda fraction, text: None, timing.Steps())


def test_picture() -> bytes:
    """The picture, WIDTH·HEIGHT·3 bytes sRGB, row-major."""
    rows = []
    for y in range(HEIGHT):
        shade = y * 80 // HEIGHT
        for x in range(WIDTH):
            rows.append(bytes((235, 130 + y // 8, 40)) if _on_disc(x, y) else bytes((30, 60 + shade, 170 - shade)))
    return b"".join(rows)


def mask_levels(mask: bytes) -> tuple[float, float]:
    """The mean of a WIDTH·HEIGHT mask (0..255) on the disc and off it."""
    sums, counts = [0, 0], [0, 0]
    for index, value in enumerate(mask):
        where = 0 if _on_disc(index % WIDTH, index // WIDTH) else 1
        sums[where] += value
        counts[where] += 1
    return sums[0] / counts[0], sums[1] / counts[1]


def _on_disc(x: int, y: int) -> bool:
    return (x - _DISC[0]) ** 2 + (y - _DISC[1]) ** 2 <= _DISC[2] ** 2


def _check_gimp(profile: Profile) -> bool:
    if profile.gimp is None or profile.gimp.console is None:
        print(
            f"  GIMP with {profile.folder}: not tried, for there is no gimp-console to ask. Look for the "
            "menu entries yourself."
        )
        return True
    name = f"GIMP {profile.gimp.version}"
    known = "Gimp.get_pdb().lookup_procedure(name) is not None"
    code = f"for name in {PROCEDURES!r}: print('{_MARK}', name, {known})"
    try:
        done = gimps.run_without_screen(profile, code, timeout=180)
    except (OSError, subprocess.SubprocessError) as error:
        print(
            f"  {name}: FAILED. It could not be asked for its procedures ({error}). Start GIMP once and run "
            "this installer again."
        )
        return False
    answers = {
        line.split()[1]: line.split()[2] == "True" for line in done.stdout.splitlines() if line.startswith(_MARK)
    }
    if len(answers) < len(PROCEDURES):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(
            f"  {name}: FAILED. It runs no Python plug-ins (exit status {done.returncode}: {last}). Install "
            "GIMP's Python support; "
            "on Debian, Ubuntu and Mint: sudo apt install gir1.2-gimp-3.0 python3-gi"
        )
        return False
    missing = [procedure for procedure, registered in answers.items() if not registered]
    if missing:
        print(
            f"  {name}: FAILED. It does not know {' and '.join(missing)}. See docs/troubleshooting.md, “The "
            "menu entry does not appear”."
        )
        return False
    print(f"  {name}: knows both of SAMA's commands.")
    return True
