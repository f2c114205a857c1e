"""Try what was installed: clicks through the real engine, and GIMP's own list of procedures and menus."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from installer import engine_process, gimp_settings, plugin_files, sample
from installer.events import Finding, InstallError, Steps
from installer.gimp_settings import Profile
from installer.plugin_files import PROCEDURES
from sama_core import paths

#: The matte too: what it computes with is compiled on first use, and that minute is better spent here than in GIMP.
VERBS = ("select", "matte")
#: By how much the mask must be higher on the thing than off it, of 255, to count as an answer to the clicks.
_LEAST_CONTRAST = 96
_MARK = "SAMA-PROCEDURES "
#: Run in GIMP's Python: what it knows of each procedure, in one line of JSON.
_QUESTION = """
import json
known = {}
for name in %r:
    procedure = Gimp.get_pdb().lookup_procedure(name)
    if procedure is not None:
        known[name] = [procedure.get_menu_label(), list(procedure.get_menu_paths())]
print(%r + json.dumps(known))
"""


def run(profiles: list[Profile], steps: Steps) -> bool:
    """Check engine and GIMPs, tell what was found, and return whether all of it works.

    Raises:
        Stopped: somebody asked to stop between two of them.
    """
    works = True
    for finding in findings(profiles):
        steps.tell(finding)
        works = works and finding.ok is not False
        steps.stop.check()
    return works


def offer_to_show(picture: Path) -> None:
    """Ask at a terminal whether to show the picture, and show it then; elsewhere nothing happens."""
    if sys.stdin is None or not sys.stdin.isatty() or not picture.is_file():
        return
    with contextlib.suppress(EOFError):
        if input(f"\nShow {picture.name} now? [y/N] ").strip().lower() in ("y", "yes"):
            webbrowser.open(picture.as_uri())


def result_picture() -> Path:
    """Where the picture of the last trial is kept."""
    return paths.log_file().with_name("self-check.png")


def findings(profiles: list[Profile]) -> Iterator[Finding]:
    """Try the engine, then each GIMP; yield what came of each. Nothing is raised for what does not work."""
    yield _engine_finding()
    for profile in profiles:
        yield _gimp_finding(profile)


def _engine_finding() -> Finding:
    try:
        photo = sample.photo()
        answers = _answers(photo)
    except InstallError as error:
        return Finding("Engine", False, str(error))
    # The plug-in's own errors; their class exists only once its module is loaded.
    except plugin_files.module("errors").PluginError as error:
        return Finding("Engine", False, str(error))
    picture = ""
    try:
        result_picture().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sample.write_result(result_picture(), photo, answers["select"].alpha)
        picture = str(result_picture())
    except OSError as error:
        return Finding(
            "Engine", False, f"its answer cannot be kept ({error}). Make that place writable and run this again."
        )
    for verb, answer in answers.items():
        inside, outside = sample.levels(answer.alpha, photo.width)
        if inside - outside < _LEAST_CONTRAST:
            text = (
                f"It answers, but its {verb} misses the thing clicked on (level {inside:.0f} on it, {outside:.0f} off "
                "it). Run the installer with --repair: the model's file may be damaged."
            )
            return Finding("Engine", False, text, picture)
    text = f"works, on {answers['select'].device}. Clicks on a sample photo found the thing clicked on."
    return Finding("Engine", True, text, picture)


def _answers(photo: sample.Photo) -> dict[str, Any]:
    launch = plugin_files.module("launch")
    was_running = launch.running() is not None
    try:
        return {verb: _ask(verb, photo) for verb in VERBS}
    finally:
        if not was_running:
            engine_process.stop()


def _ask(verb: str, photo: sample.Photo) -> Any:
    job, prompt = plugin_files.module("job"), plugin_files.module("prompt")
    image_id = hashlib.sha256(f"{photo.width}x{photo.height}:".encode() + photo.pixels).hexdigest()
    pixels = job.Pixels(photo.width, photo.height, [photo.pixels], image_id)
    clicks = prompt.Prompt(points=list(sample.CLICKS), labels=[1] * len(sample.CLICKS))
    return job.ask_engine(job.Job(verb, pixels, clicks, "lite"), lambda fraction, text: None, job.Timing())


def _gimp_finding(profile: Profile) -> Finding:
    if profile.gimp is None or profile.gimp.console is None:
        text = f"not tried: no gimp-console to ask about {profile.folder}. Look for the menu entries yourself."
        return Finding(f"GIMP {profile.gimp.version}" if profile.gimp else "GIMP", None, text)
    name = f"GIMP {profile.gimp.version}"
    try:
        done = gimp_settings.run_without_screen(profile, _QUESTION % (PROCEDURES, _MARK), timeout=180)
    except (OSError, subprocess.SubprocessError) as error:
        text = f"It could not be asked for its procedures ({error}). Start GIMP once and run this installer again."
        return Finding(name, False, text)
    answers = [line[len(_MARK) :] for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not answers:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        text = (
            f"It runs no Python plug-ins (exit status {done.returncode}: {last}). Install GIMP's Python support; "
            "on Debian, Ubuntu and Mint: sudo apt install gir1.2-gimp-3.0 python3-gi"
        )
        return Finding(name, False, text)
    known: dict[str, tuple[str, list[str]]] = json.loads(answers[-1])
    missing = [procedure for procedure in PROCEDURES if procedure not in known]
    if missing:
        text = (
            f"It does not know {' and '.join(missing)}. See docs/troubleshooting.md, “The menu entry does not appear”."
        )
        return Finding(name, False, text)
    entries = [
        menu_entry(path, label) for label, paths in (known[procedure] for procedure in PROCEDURES) for path in paths
    ]
    return Finding(name, True, f"knows both of SAMA's commands. They are in its menus as {' and '.join(entries)}.")


def menu_entry(path: str, label: str) -> str:
    """Return a menu entry as a person reads it: "<Image>/Filters", "_SAMA Select…" -> "Filters → SAMA Select…"."""
    places = path.replace("<Image>/", "").split("/")
    return " → ".join([*places, label]).replace("_", "")
