"""A throw-away machine for the installer: its own HOME, its own PATH, and a profile or two. Nothing of the user's."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

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
        self, *options: str | Path, installer: Path = INSTALL, answers: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the installer from an unrelated folder."""
        return subprocess.run(
            self.command(*options, installer=installer),
            env={**self.variables, **variables},
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

    def uninstall(self) -> str:
        done = self.run("--uninstall")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def contents(self) -> dict[str, tuple]:
        """Everything in the home folder: kind, mode, time of change and content of each file, mode of each folder."""
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


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def small_wheel(tmp_path: Path):
    """A function: a wheel named like the engine with nothing in it but its version, so that pip is quick."""

    def make(version: str = "0.1.0") -> Path:
        file = tmp_path / f"sama_gimp-{version}-py3-none-any.whl"
        info = f"sama_gimp-{version}.dist-info"
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr("sama_core/__init__.py", f'__version__ = "{version}"\n')
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: sama-gimp\nVersion: {version}\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return file

    return make


@pytest.fixture
def small_source(tmp_path: Path):
    """A function: a source folder of the engine whose build runs the given code and needs nothing from the network."""

    def make(build_code: str) -> Path:
        folder = tmp_path / "source folder"
        package = folder / "sama_core"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text('__version__ = "0.1.0"\n')
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "build_it"\nbackend-path = ["sama_core"]\n'
            '[project]\nname = "sama-gimp"\nversion = "0.1.0"\n'
        )
        code = "".join(f"    {line}\n" for line in build_code.splitlines())
        (package / "build_it.py").write_text(
            f"def build_wheel(folder, settings=None, metadata=None):\n{code}"
        )
        return folder

    return make


@pytest.fixture(scope="session")
def bare_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which the engine can be imported, and nothing more."""
    folder = tmp_path_factory.mktemp("bare engine")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    package = next(folder.glob("lib/python3*/site-packages")) / "sama_core"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "0.1.0"\n')
    return folder / "bin" / "python"
