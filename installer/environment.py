"""The engine's own Python environment: what is in it, making it, and getting the engine into it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from installer import downloads, package, pythons
from installer.child_processes import run_quietly
from installer.downloads import Download, Pip
from installer.events import InstallError, Note
from installer.package import Lock
from installer.state import Environment, Manifest, remove_tree
from installer.steps import Steps
from installer.torch_builds import Build
from sama_core.weights.download import size_text

#: Run in the environment: whether it meets the requirements that are the arguments.
_ARE_MET = """
import importlib.metadata, sys
from pip._vendor.packaging.requirements import Requirement
for need in map(Requirement, sys.argv[1:]):
    if not need.specifier.contains(importlib.metadata.version(need.name), prereleases=True):
        sys.exit(1)
"""


@dataclass(frozen=True)
class EngineInfo:
    """What an environment says of itself."""

    python: Path
    engine_version: str


@dataclass(frozen=True)
class Source:
    """Where the engine and all it needs come from.

    Attributes:
        package: a checkout, a wheel or an sdist.
        build: of PyTorch.
        wheels: folders with wheels; when there are any, nothing is taken from anywhere else.
        needed_bytes: free disk space to insist on instead of the known figures, or None.
        lock: the versions to take; None for the newest.
    """

    package: Path
    build: Build
    wheels: tuple[Path, ...] = ()
    needed_bytes: int | None = None
    lock: Lock | None = None

    @property
    def offline(self) -> list[str]:
        """pip's options for taking everything from the folders; none without folders."""
        places = [option for folder in self.wheels for option in ("--find-links", str(folder))]
        return ["--no-index", *places] if places else []


@dataclass(frozen=True)
class Ready:
    """What is handed to pip.

    Attributes:
        arguments: all files that are needed, or, where pip must find them itself, how; empty when only `wheel` is new.
        wheel: the engine's.
        usual_torch: PyTorch's usual build is among them, because the index of the chosen one cannot be used.
    """

    arguments: tuple[str, ...]
    wheel: Path
    usual_torch: bool = False


def folder_in(home: Path) -> Path:
    """Where the environment is made."""
    return home / "engine"


def work_folder_in(home: Path) -> Path:
    """Where the package is built, and what pip keeps for a moment.

    Not the system's folder for temporary files: on many systems that is memory, and gigabytes do not fit.
    """
    return home / "installing"


def downloads_folder_in(home: Path) -> Path:
    """Where downloads are kept until all is done, over breaks and failures."""
    return home / "downloads"


def python_in(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def own_python(home: Path) -> Path:
    """The interpreter of the environment that is made."""
    return python_in(folder_in(home))


def free_bytes(path: Path) -> int:
    """The free space of the disk that holds `path`, which need not exist yet."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(existing).free


def inspect(python: Path) -> EngineInfo:
    """Return what the environment of `python` holds.

    Raises:
        InstallError: it does not run, is too old, or the engine cannot be imported in it.
    """
    version = pythons.version_of(python)
    if version is None:
        raise InstallError(f"{python} is not a Python that can be run. Name another one with --python.")
    if version < pythons.MINIMUM:
        raise InstallError(
            f"{python} is Python {pythons.dotted(version)}, and the engine needs {pythons.dotted(pythons.MINIMUM)} or "
            "newer. Name a newer one with --python."
        )
    done = run_quietly([str(python), "-c", "import sama_core; print(sama_core.__version__)"])
    if done.returncode != 0:
        raise InstallError(
            f'{python} has no engine in it. Install it there first: "{python}" -m pip install "{package.shipped()}"'
        )
    return EngineInfo(python, done.stdout.strip())


def state(manifest: Manifest, source: str, build: str | None) -> str:
    """Return what the environment needs to hold the package of fingerprint `source`: keep, update, make.

    Args:
        manifest: what is installed.
        source: fingerprint of the package that is wanted.
        build: the build of PyTorch that the person insists on, or None.
    """
    environment = manifest.environment
    if environment is None or not environment.made or not environment.source:
        return "make"
    if build is not None and environment.torch != build:
        return "make"
    try:
        inspect(Path(environment.python))
    except InstallError:
        return "make"
    return "keep" if environment.source == source else "update"


def make(manifest: Manifest, base: Path, build: Build, undo: ExitStack) -> None:
    """Make a new environment, with nothing in it, in place of one that is unfinished or broken.

    Raises:
        InstallError: it cannot be made.
    """
    folder = folder_in(manifest.home)
    manifest.environment = Environment(str(python_in(folder)), made=True, source="", torch=build.name)
    manifest.save()
    undo.callback(remove_tree, folder)
    make_empty(base, folder)


def make_empty(base: Path, folder: Path) -> None:
    """Make a virtual environment in `folder`, in place of what is there.

    Raises:
        InstallError: it cannot be made.
    """
    remove_tree(folder)
    done = run_quietly([str(base), "-m", "venv", str(folder)])
    if done.returncode != 0:
        reason = (done.stdout + done.stderr).strip()
        raise InstallError(f"The environment could not be made with {base}. It said: {reason}")


def download(home: Path, source: Source, steps: Steps) -> Ready:
    """Get all files that the engine needs, beyond what its environment has.

    Raises:
        InstallError: something cannot be had. What has arrived is kept for the next time.
        Stopped: the person wishes so.
    """
    work, kept = work_folder_in(home), downloads_folder_in(home)
    remove_tree(work)
    for folder in (work, kept):
        folder.mkdir(exist_ok=True)
    pip = Pip(own_python(home), work, steps)
    wheel = _wheel(pip, source)
    needs = package.requirements_of(wheel)
    if wheel.suffix == ".whl" and not needs:
        return Ready(("--no-cache-dir", "--no-deps", str(wheel)), wheel)
    torch = [need for need in needs if re.match(r"torch(vision)?\b", need)]
    stays = bool(torch) and run_quietly([str(pip.python), "-c", _ARE_MET, *torch]).returncode == 0
    if source.wheels:
        locked = source.lock.constraints(work / "lock", torch=not stays) if source.lock else []
        return Ready(("--no-cache-dir", *source.offline, *locked, str(wheel)), wheel)
    downloads.renew(pip)
    requirements, options, usual = [], [], False
    if source.build.index and torch and not stays:
        requirements, options, usual = _torch_requirements(pip, torch, source, steps)
    if source.lock:
        # A build of PyTorch's own that is there, or is going to be, says itself what goes with it.
        options += source.lock.constraints(work / "lock", torch=not stays and not requirements)
    try:
        wanted = downloads.resolve(pip, [str(wheel), *requirements], options)
    except downloads.NoSuchVersion as error:
        raise InstallError(f"{error}{_way_out(source)}") from error
    if source.lock:
        source.lock.check(wanted)
    try:
        files = downloads.fetch_all(wanted, kept, pip.certificates(), steps.stop, steps.progress)
    except downloads.Refused as refusal:
        steps.tell(Note(f"pip downloads the rest itself, with its own settings, for {refusal}."))
        return Ready(("--cache-dir", str(kept / "pip"), *options, str(wheel), *requirements), wheel, usual)
    # Nothing is left to be decided: it was when the files were looked up.
    return Ready(("--no-cache-dir", "--no-deps", *map(str, files)) if files else (), wheel, usual)


def install(manifest: Manifest, source: Source, ready: Ready, steps: Steps) -> EngineInfo:
    """Put what was downloaded into the environment; pip takes back what it fails to finish.

    Raises:
        InstallError: pip cannot install it.
        Stopped: the person wishes so.
    """
    pip = Pip(own_python(manifest.home), work_folder_in(manifest.home), steps)
    is_new = manifest.environment is None or not manifest.environment.source
    if manifest.environment and not is_new:
        # No package's fingerprint: a run that comes after a break here knows that it has to install again.
        manifest.environment.source = "unfinished"
        manifest.save()
    if ready.arguments:
        _run(pip, source, *ready.arguments)
    if not is_new:
        # A wheel of the version that is there already was passed over.
        _run(pip, source, "--no-cache-dir", "--force-reinstall", "--no-deps", "--no-index", str(ready.wheel))
    engine = inspect(pip.python)
    torch = manifest.environment.torch if manifest.environment else source.build.name
    if ready.usual_torch:
        # Lest a run that asks for the chosen build, once its index can be used, takes it to be here.
        torch = "default"
    manifest.environment = Environment(str(pip.python), True, package.fingerprint(source.package), torch)
    manifest.save()
    return engine


def _wheel(pip: Pip, source: Source) -> Path:
    """The engine's wheel: the one there is, or one built from the checkout."""
    if source.package.is_file():
        return source.package
    copy, built = pip.work / "package", pip.work / "wheel"
    package.copy_to_build(source.package, copy)
    status, said = pip.run(
        "wheel", "--no-cache-dir", "--no-deps", *source.offline, "--wheel-dir", str(built), str(copy)
    )
    wheels = list(built.glob("*.whl"))
    if status != 0 or not wheels:
        raise InstallError(downloads.failure_of("The engine's package could not be built", said))
    return wheels[0]


def _way_out(source: Source) -> str:
    """What else to do when versions are not to be had."""
    if source.lock is None:
        return ""
    return " With --newest the installer takes other versions than those that SAMA was tested with."


def _torch_requirements(
    pip: Pip, wanted: Sequence[str], source: Source, steps: Steps
) -> tuple[list[str], list[str], bool]:
    """PyTorch, pinned to the chosen build; the options that let pip find it; whether the usual build is taken instead.

    PyTorch's index is asked alone first: asked together with the usual one, pip takes whichever has the newer version.

    Raises:
        InstallError: the usual build has to be taken, and the disk is too full for that.
    """
    build = source.build
    options = ["--no-deps", "--retries", "2", "--index-url", build.index]
    try:
        found = _found_builds(pip, wanted, options, source.lock, steps)
    except InstallError as error:
        size = build.usual
        needed = size.needed if source.needed_bytes is None else source.needed_bytes
        free = free_bytes(pip.work)
        if free < needed:
            raise InstallError(
                f"PyTorch's own index ({build.index}) cannot be used, and for PyTorch's usual build "
                f"{size_text(needed)} of disk space must be free, of which there are {size_text(free)}. Run this again "
                f"when the network is better, or make room. {error}"
            ) from error
        steps.tell(
            Note(
                f"PyTorch's own index ({build.index}) cannot be used, so PyTorch's usual build is installed instead: "
                f"about {size_text(size.download)} to download, {size_text(size.kept)} on the disk in the end. It "
                f"may not use your graphics card. {error}",
                warning=True,
            )
        )
        return [], [], True
    return ["==".join(item.name.split("-")[:2]) for item in found], ["--extra-index-url", build.index], False


def _found_builds(
    pip: Pip, wanted: Sequence[str], options: list[str], lock: Lock | None, steps: Steps
) -> list[Download]:
    """The files of a build: of the versions that SAMA was tested with, or the newest where the build has not got them.

    Raises:
        InstallError: its index cannot be used.
    """
    if lock is None:
        return downloads.resolve(pip, wanted, options)
    try:
        return downloads.resolve(pip, wanted, [*options, *lock.constraints(pip.work / "lock")])
    except downloads.NoSuchVersion:
        found = downloads.resolve(pip, wanted, options)
    versions = " and ".join(download.release.replace("==", " ") for download in found)
    steps.tell(Note(f"This build of PyTorch is not to be had in the version that SAMA was tested with: {versions}."))
    return found


def _run(pip: Pip, source: Source, *arguments: str) -> None:
    status, said = pip.run("install", *arguments)
    if status == 0:
        return
    if source.wheels:
        missing = [
            line.partition("satisfies the requirement ")[2] for line in said if "satisfies the requirement" in line
        ]
        incomplete = _incomplete(source, missing[0].split(" ")[0] if missing else "", said)
        raise InstallError(incomplete + (_way_out(source) if downloads.lacks_version(said) else ""))
    raise InstallError(downloads.failure_of("The engine could not be installed", said))


def _incomplete(source: Source, missing: str, said: Sequence[str]) -> str:
    folders = " and ".join(str(folder) for folder in source.wheels)
    if not missing:
        return downloads.failure_of(f"The engine could not be installed from {folders}", said)
    return (
        f"{missing} is missing in {folders}, or is there only for another Python or system. docs/install.md, "
        "“Without a network”, says how to fill that folder on a computer that has one."
    )
