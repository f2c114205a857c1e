"""The engine's own Python environment: find a Python, make the environment, install the engine."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from installer.checkout import ROOT
from installer.child_processes import clean_environment
from installer.failures import InstallError
from installer.manifest import Environment, Manifest, remove_tree

MINIMUM_PYTHON = (3, 10)
_OTHER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.10")
#: What of a checkout the package is built from.
_BUILD_FILES = ("pyproject.toml", "README.md", "LICENSE")
_BUILD_FOLDERS = ("sama_core",)
GIB = 1024**3


@dataclass(frozen=True)
class Size:
    """Disk space of an environment in bytes: what it takes in the end, and what must be free meanwhile."""

    kept: int
    needed: int


#: Linux: measured, with PyTorch's build for NVIDIA cards, which is what pip installs there. See
#: docs/install.md.
LINUX_SIZE = Size(int(5.9 * GIB), int(9.5 * GIB))
#: Windows and macOS get PyTorch's smaller build; not measured, so asked for with a margin.
OTHER_SIZE = Size(2 * GIB, 5 * GIB)


@dataclass(frozen=True)
class EngineInfo:
    """What an environment says of itself."""

    python: Path
    python_version: str
    engine_version: str


def folder_in(home: Path) -> Path:
    """Where the environment is made."""
    return home / "engine"


def work_folder_in(home: Path) -> Path:
    """Where downloads and the package's build go while the environment is made.

    Not the system's folder for temporary files: on many systems that is memory, and gigabytes do not fit.
    """
    return home / "installing"


def python_in(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def expected_size() -> Size:
    """How large a new environment becomes on this system."""
    return LINUX_SIZE if sys.platform == "linux" else OTHER_SIZE


def free_bytes(path: Path) -> int:
    """The free space of the disk that holds `path`, which need not exist yet."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(existing).free


def inspect(python: Path) -> EngineInfo:
    """Return what the environment of `python` holds.

    Raises:
        InstallError: it does not run, is too old, or the engine cannot be imported in it.
    """
    code = "import platform, sama_core; print(platform.python_version()); print(sama_core.__version__)"
    version = _python_version(python)
    if version is None:
        raise InstallError(f"{python} is not a Python that can be run. Name another one with --python.")
    if version < MINIMUM_PYTHON:
        raise InstallError(
            f"{python} is Python {_dotted(version)}, and the engine needs {_dotted(MINIMUM_PYTHON)} or "
            "newer. Name a newer one with --python."
        )
    done = _run_quietly([str(python), "-c", code])
    lines = done.stdout.split()
    if done.returncode != 0 or len(lines) != 2:
        raise InstallError(f'{python} has no engine in it. Install it there first: "{python}" -m pip install "{ROOT}"')
    return EngineInfo(python, *lines)


def existing_python(name: str) -> Path:
    """Return the interpreter the user named, absolute, links kept: a virtual environment's is a link.

    Raises:
        InstallError: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise InstallError(f"There is no Python at {name}. Give the full path of one with --python.")
    return Path(found).absolute()


def base_python() -> Path:
    """Return a Python that the environment can be made with: the one that runs this, or another on the PATH.

    Raises:
        InstallError: none is new enough, or none can make environments.
    """
    candidates = [sys.executable, *filter(None, map(shutil.which, _OTHER_PYTHONS))]
    without_venv = None
    for candidate in map(Path, candidates):
        version = _python_version(candidate)
        if version is None or version < MINIMUM_PYTHON:
            continue
        if _run_quietly([str(candidate), "-c", "import ensurepip, venv"]).returncode == 0:
            return candidate
        without_venv = without_venv or version
    if without_venv:
        raise InstallError(
            f"Python {_dotted(without_venv)} is here, but without the part that makes environments "
            "(ensurepip). "
            "On Debian, Ubuntu and Mint: sudo apt install python3-venv. Then run this installer again."
        )
    raise InstallError(
        f"The engine needs Python {_dotted(MINIMUM_PYTHON)} or newer, and only {platform.python_version()} "
        "was found. "
        "Install a newer Python and run this installer with it."
    )


def fingerprint(source: Path) -> str:
    """A hash of everything the package in `source` (a checkout, a wheel or an sdist) is made from."""
    digest = hashlib.sha256()
    for file in _package_files(source):
        digest.update(f"{file.relative_to(source).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def state(manifest: Manifest, source: str) -> str:
    """Return what the environment needs to hold the package of fingerprint `source`: keep, update, make."""
    environment = manifest.environment
    if environment is None or not environment.made or not environment.source:
        return "make"
    try:
        inspect(Path(environment.python))
    except InstallError:
        return "make"
    return "keep" if environment.source == source else "update"


def make(manifest: Manifest, source: Path, base: Path, undo: ExitStack) -> EngineInfo:
    """Make a new environment with the package in `source`, in place of one that is unfinished or broken.

    Raises:
        InstallError: the environment cannot be made or the package cannot be installed.
    """
    folder = folder_in(manifest.home)
    python = python_in(folder)
    manifest.environment = Environment(str(python), made=True, source="")
    manifest.save()
    undo.callback(remove_tree, folder)
    remove_tree(folder)
    print(f"Making the engine's environment in {folder} …", flush=True)
    done = _run_quietly([str(base), "-m", "venv", str(folder)])
    if done.returncode != 0:
        reason = (done.stdout + done.stderr).strip()
        raise InstallError(f"The environment could not be made with {base}. It said: {reason}")
    _pip_install(manifest.home, python, source, [])
    manifest.environment.source = fingerprint(source)
    return inspect(python)


def update(manifest: Manifest, source: Path) -> EngineInfo:
    """Put the package in `source` into the environment there is; pip takes back what it fails to finish.

    Raises:
        InstallError: the package cannot be installed.
    """
    python = python_in(folder_in(manifest.home))
    print("Updating the engine …", flush=True)
    _pip_install(manifest.home, python, source, [])
    # A wheel of the version that is there already was passed over.
    _pip_install(manifest.home, python, source, ["--force-reinstall", "--no-deps"])
    manifest.environment = Environment(str(python), made=True, source=fingerprint(source))
    return inspect(python)


def _pip_install(home: Path, python: Path, source: Path, options: list[str]) -> None:
    work = work_folder_in(home)
    remove_tree(work)
    try:
        work.mkdir()
        package = source
        if source.is_dir():
            # Built from a copy: setuptools leaves build/ and *.egg-info in the folder it builds.
            package = work / "package"
            for file in _package_files(source):
                copy = package / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        # No cache: it would leave gigabytes outside of SAMA's folder that no uninstalling finds.
        command = [str(python), "-m", "pip", "install", "--no-cache-dir", *options, str(package)]
        place = {"TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
        settings = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        status = subprocess.run(
            command, env={**clean_environment(), **place, **settings}, cwd=work, check=False
        ).returncode
    except OSError as error:
        raise InstallError(
            f"The engine could not be installed: {error}. Make {home} writable and run this again."
        ) from error
    finally:
        remove_tree(work)
    if status != 0:
        raise InstallError(
            "The engine could not be installed; pip's own words are above. "
            "Check the network and the free disk space, and run this again."
        )


def _package_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = [source / name for name in _BUILD_FILES if (source / name).is_file()]
    for name in _BUILD_FOLDERS:
        files += [file for file in (source / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return sorted(files)


def _python_version(python: Path) -> tuple[int, int] | None:
    done = _run_quietly([str(python), "-c", "import sys; print(*sys.version_info[:2])"])
    try:
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except ValueError:
        return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _run_quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    # From the root folder: Python looks for modules in the current one first, and the engine's source may be
    # there.
    here = Path(sys.executable).anchor
    try:
        return subprocess.run(
            command,
            env=clean_environment(),
            cwd=here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
