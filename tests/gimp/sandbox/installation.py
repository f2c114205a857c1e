"""Which GIMP to run, and how to run a command in the place where it lives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox import tree as private_tree

ENTER = Path(__file__).with_name("enter.sh")
#: What driving GIMP's windows without a screen needs besides GIMP.
SCREEN_TOOLS = ("Xvfb", "openbox", "xdotool")
#: The search path inside; the tools of a Debian system, and nobody's own.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class GimpNotFound(Exception):
    """There is no GIMP 3 to run and none could be made."""


@dataclass(frozen=True)
class GimpInstallation:
    """A GIMP 3 that can be run.

    Attributes:
        version: as GIMP tells it, e.g. "3.0.4".
        console: name or path of the program without windows.
        window: name or path of the program with windows.
        tree: the private tree's root folder, or None for the system's own GIMP.
    """

    version: str
    console: str
    window: str
    tree: Path | None

    def command(self, work: Path, *command: str) -> list[str]:
        """Return the argv that runs `command` where this GIMP lives, with `work` at the same path."""
        if self.tree is None:
            return list(command)
        return [*private_namespace(), "sh", str(ENTER), str(self.tree), str(work), *command]


def private_namespace() -> list[str]:
    """Return the argv prefix that gives a command a mount namespace of its own to mount and chroot in.

    No process namespace: the engine that GIMP starts has to outlive it, and its process id has to mean the
    same outside.
    """
    unshare = shutil.which("unshare", path=PATH)
    if unshare is None:
        raise GimpNotFound("The program 'unshare' is missing. Install the package util-linux.")
    return [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--mount"]


def find_gimp(tree: Path | None = None, series: str | None = None) -> GimpInstallation:
    """Return the system's GIMP if it is a complete GIMP 3, else the private tree's, which is made if need be.

    Args:
        series: "3.0" or "3.2" for the private tree of just that one; None for any, and 3.0 if one has to be made.
        tree: where the private tree is or shall be; default `$SAMA_GIMP_TREE` unless a series is asked for,
            else a folder in `.cache` of the checkout.
            When either is given the system's GIMP is not looked at.

    Raises:
        GimpNotFound: with the reason and a remedy.
    """
    named = os.environ.get("SAMA_GIMP_TREE") if series is None else None
    chosen = tree or (Path(named) if named else None)
    if chosen is None and series is None:
        system = _system_gimp()
        if system is not None:
            return system
    series = series or "3.0"
    where = (chosen or private_tree.place(series)).absolute()
    try:
        private_tree.ensure(where, series)
    except private_tree.TreeError as error:
        raise GimpNotFound(str(error)) from error
    return _gimp_in(where)


def _system_gimp() -> GimpInstallation | None:
    console, window = shutil.which("gimp-console"), shutil.which("gimp")
    if not console or not window or not all(map(shutil.which, SCREEN_TOOLS)):
        return None
    version = _version_of([console, "--version"])
    bindings = "import gi; gi.require_version('Gimp', '3.0'); from gi.repository import Gimp"
    if (
        not version.startswith("3.")
        or subprocess.run(["/usr/bin/python3", "-c", bindings], capture_output=True).returncode
    ):
        return None
    return GimpInstallation(version, console, window, None)


def _gimp_in(tree: Path) -> GimpInstallation:
    found = sorted((tree / "usr/bin").glob("gimp-console-3.*"))
    if not found:
        raise GimpNotFound(f"There is no GIMP 3 in {tree}. Delete that folder, so that it is made anew.")
    console = found[-1].name
    gimp = GimpInstallation("", console, console.replace("-console", ""), tree)
    with tempfile.TemporaryDirectory(prefix="sama-gimp-") as work:
        command = gimp.command(Path(work), console, "--version")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PATH": PATH}, check=False)
        except subprocess.TimeoutExpired as error:
            raise GimpNotFound(f"GIMP in {tree} did not even tell its version within two minutes.") from error
    version = _version_in(done.stdout)
    if not version:
        raise GimpNotFound(
            f"GIMP in {tree} does not start: {(done.stderr or done.stdout).strip() or done.returncode}. "
            "It needs the right to make a mount namespace (unshare); when that is there, delete the folder, "
            "so that it is made anew."
        )
    return replace(gimp, version=version)


def _version_of(command: list[str]) -> str:
    try:
        return _version_in(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout)
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _version_in(text: str) -> str:
    match = re.search(r"version (\d+\.\d+\.\d+)", text)
    return match.group(1) if match else ""
