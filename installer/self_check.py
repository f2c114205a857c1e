"""Try what was installed: clicks through the real engine, and GIMP's own list of procedures and menus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from installer import engine_process, gimp_settings, plugin_files
from installer.child_processes import run_watched
from installer.events import Finding, InstallError
from installer.gimp_settings import Profile
from installer.models import json_object
from installer.package import ROOT
from installer.plugin_files import PROCEDURES
from installer.steps import Steps, Stopped
from sama_core import paths

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


def run(python: Path, profiles: list[Profile], steps: Steps) -> bool:
    """Try the engine of `python`, then each GIMP, tell what was found, and return whether all of it works.

    Raises:
        Stopped: somebody asked to stop.
    """
    works = True
    for finding in _findings(python, profiles, steps):
        steps.tell(finding)
        works = works and finding.ok is not False
        steps.stop.check()
    return works


def result_picture() -> Path:
    """Where the picture of the last trial is kept."""
    return paths.log_file().with_name("self-check.png")


def _findings(python: Path, profiles: list[Profile], steps: Steps) -> Iterator[Finding]:
    """Yield what came of trying each. Nothing is raised for what does not work."""
    try:
        yield _engine_finding(python, steps)
    except Stopped:
        raise
    except InstallError as error:
        yield Finding("Engine", False, str(error))
    for profile in profiles:
        yield _gimp_finding(profile)


def _engine_finding(python: Path, steps: Steps) -> Finding:
    was_running = plugin_files.module("launch").running() is not None
    picture = str(result_picture())
    try:
        # Beside the installer lies what it needs of the engine's modules, and all else is in that Python.
        command = [str(python), "-B", "-m", "installer.trial", picture]
        _, said = run_watched(command, steps, {"PYTHONPATH": str(ROOT)})
    except OSError as error:
        return Finding("Engine", False, f"{python} cannot be started ({error}). Run the installer with --repair.")
    finally:
        if not was_running:
            engine_process.stop()
    answer = json_object(said[-1] if said else "")
    if "levels" not in answer:
        reason = said[-1] if said else "it said nothing"
        return Finding("Engine", False, answer.get("error") or f"It could not be tried: {reason}")
    for verb, (inside, outside) in answer["levels"].items():
        if inside - outside < _LEAST_CONTRAST:
            text = (
                f"It answers, but its {verb} misses the thing clicked on (level {inside:.0f} on it, {outside:.0f} off "
                "it). Run the installer with --repair: the model's file may be damaged."
            )
            return Finding("Engine", False, text, picture)
    text = f"works, on {answer['device']}. Clicks on a sample photo found the thing clicked on."
    return Finding("Engine", True, text, picture)


def _gimp_finding(profile: Profile) -> Finding:
    name = f"GIMP {profile.gimp.version}" if profile.gimp else "GIMP"
    if profile.console is None:
        text = f"not tried: no gimp-console to ask about {profile.folder}. Look for the menu entries yourself."
        return Finding(name, None, text)
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
    # "<Image>/Filters" and "_SAMA Select…" are read as "Filters → SAMA Select…".
    entries = [
        f"{path}/{label}".replace("<Image>/", "").replace("/", " → ").replace("_", "")
        for label, paths in (known[procedure] for procedure in PROCEDURES)
        for path in paths
    ]
    return Finding(name, True, f"knows both of SAMA's commands. They are in its menus as {' and '.join(entries)}.")
