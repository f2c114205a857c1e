"""A throw-away machine for the installer: its own HOME and its own PATH, nothing of the user's."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "installer" / "install.py"


class Machine:
    """A home folder, and a PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Spaces and letters beyond ASCII are common in the names of people and folders.
        self.home = folder / "Zoë Müller" / "home"
        self.programs = folder / "programs"
        self.temporary = folder / "temporary"
        for made in (self.home, self.programs, self.temporary):
            made.mkdir(parents=True)
        self.sama_home = self.home / ".local" / "share" / "sama-gimp"
        self.config = self.home / ".config" / "GIMP"
        self.variables = {
            "HOME": str(self.home),
            "PATH": str(self.programs),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            "SAMA_DEVICE": "cpu",
        }

    def add_program(self, name: str, prints: str) -> None:
        """Put a program on the PATH that prints the text whatever it is asked."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{prints}\nEND\n")
        program.chmod(0o755)

    def add_gimp(self, version: str) -> Path:
        """Put a GIMP on the PATH that only tells its version; return the profile folder that is its own."""
        series = ".".join(version.split(".")[:2])
        self.add_program(
            f"gimp-{series}" if version[0] == "3" else "gimp",
            f"GNU Image Manipulation Program version {version}",
        )
        return self.config / series

    def command(self, *options: str | Path, installer: Path = INSTALL) -> list[str]:
        return [sys.executable, str(installer), *map(str, options)]

    def run(
        self,
        *options: str | Path,
        installer: Path = INSTALL,
        answers: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the installer from an unrelated folder."""
        return subprocess.run(
            self.command(*options, installer=installer),
            env={**self.variables, **(variables or {})},
            cwd=self.folder,
            input=answers,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    def install(self, *options: str | Path, **more) -> str:
        """Run the installer without questions, insist on success and return what it printed."""
        done = self.run("--yes", *options, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def uninstall(self, *options: str) -> str:
        done = self.run("--uninstall", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def contents(self) -> dict[str, tuple]:
        """Everything in the home folder: modes, and the time of change and content of each file."""
        return {str(path.relative_to(self.home)): described(path) for path in self.home.rglob("*")}


def described(path: Path) -> tuple:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if path.is_symlink():
        return ("link", str(path.readlink()))
    if path.is_dir():
        return ("folder", mode)
    return ("file", mode, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Wait until the running process has made the file."""
    while not path.exists():
        assert process.poll() is None, "the process ended before it made the file"
        time.sleep(0.05)


def copy_of_the_checkout(folder: Path) -> Path:
    """Copy what the installer needs of the checkout into `folder`, to be altered there."""
    for name in ("installer", "gimp_plugin"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "demo" / "photos", folder / "demo" / "photos")
    shutil.copy(ROOT / "requirements.lock", folder)
    kept_out = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "sama_core", folder / "sama_core", ignore=kept_out)
    return folder
