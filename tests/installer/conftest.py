"""Fixtures for the installer's tests: a machine to install on, and things to install."""

from __future__ import annotations

import base64
import hashlib
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import qt_libraries
from throwaway_machine import ROOT, Machine

sys.path.append(str(ROOT / "tests" / "gimp"))
from sandbox import GimpNotFound, find_gimp


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
            record = ""
            for name, text in {
                "sama_core/__init__.py": f'__version__ = "{version}"\n',
                "sama_core/weights.bin": "weights",
                f"{info}/METADATA": f"Metadata-Version: 2.1\nName: sama-gimp\nVersion: {version}\n",
                f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            }.items():
                wheel.writestr(name, text)
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                record += f"{name},sha256={digest},{len(text)}\n"
            wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
        return file

    return make


@pytest.fixture
def small_source(tmp_path: Path):
    """A function: a source folder of the engine whose build runs the given code, without network."""

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
        (package / "build_it.py").write_text(f"def build_wheel(folder, settings=None, metadata=None):\n{code}")
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


@pytest.fixture
def real_profile(machine: Machine) -> Path:
    """Puts the real GIMP on the machine's PATH; the profile folder that is its own."""
    try:
        gimp = find_gimp()
    except GimpNotFound as error:
        pytest.fail(str(error))
    command = shlex.join(gimp.command(machine.folder, gimp.console))
    series = ".".join(gimp.version.split(".")[:2])
    program = machine.programs / f"gimp-console-{series}"
    program.write_text(f'#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\nexec {command} "$@"\n')
    program.chmod(0o755)
    return machine.config / series


@pytest.fixture(scope="session")
def qt_variables() -> dict[str, str]:
    """What makes Qt start without a screen in another process. No Qt is a failure, never a skip."""
    try:
        return qt_libraries.variables()
    except qt_libraries.NoQt as error:
        pytest.fail(str(error))
