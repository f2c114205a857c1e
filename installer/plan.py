"""What an installation would do: what is found on this computer, what is chosen, how large it is, what forbids it.

Nothing is changed here; `installer.apply` does what a plan says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installer import (
    engine_process,
    environment,
    gimp_settings,
    models,
    package,
    plugin_files,
    pythons,
    run_lock,
    torch_builds,
)
from installer.environment import EngineInfo, Source
from installer.events import STEPS, GimpSeen, InstallError, ModelOffer, Planned
from installer.gimp_settings import Profile
from installer.state import Environment, Manifest
from sama_core import __version__, paths
from sama_core.accelerator import detect, this_computer
from sama_core.gimp import Gimp, find_gimps, settings_root, this_place

#: What a running engine keeps in SAMA_HOME; a folder with only these in it is SAMA's own.
_ENGINES_OWN = {"run", "logs", "cache", "weights", "install.json"}
#: What a run that was cut off very early leaves.
_INSTALLERS_OWN = {run_lock.NAME, "window"}
_UPDATE_BYTES = torch_builds.GIB // 2


@dataclass(frozen=True)
class Wishes:
    """What the person asks for.

    Attributes:
        forced_profiles: GIMP profile folders to use instead of those found.
        python: an interpreter that has the engine already, or None for the one that the installation there is uses,
            or an environment of SAMA's own.
        package: what to install the engine from.
        needed_bytes: free disk space to insist on instead of the known figure, or None.
        ask: ask before anything is done.
        dry_run: only plan.
        check: try everything out at the end.
        torch: the build of PyTorch, a name of `torch_builds.NAMES`, or None for the one that fits.
        wheels: folders to take everything from, instead of the network; empty for the network.
        newest: the newest versions of all that the engine needs, not those that SAMA was tested with.
        models: larger models to have, NAME or NAME=FILE; None asks for them where anything is asked.
        own_environment: an environment of SAMA's own, also where an interpreter of the user's is used so far.
        base: the Python to make that with, if it fits.
        mend: what the environment needs at least, whatever its manifest says: "make", "update", or "" for nothing.
    """

    forced_profiles: list[Path]
    python: str | None
    package: Path
    needed_bytes: int | None
    ask: bool
    dry_run: bool
    check: bool
    torch: str | None = None
    wheels: tuple[Path, ...] = ()
    newest: bool = False
    models: tuple[str, ...] | None = None
    own_environment: bool = False
    base: str = sys.executable
    mend: str = ""


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        engine: "use" the environment named by the user, "make" one, "update" or "keep" the one there is.
        python: the interpreter to use, or to make the environment with; None for "update" and "keep".
        source: what the environment is made from.
        profiles: those that have the plug-in in the end.
        stale_profiles: the profiles whose plug-in is missing or not this version's.
        models: the models to have, NAME or NAME=FILE.
        remarks: what to know about the engine, whole sentences.
        shown: the plan as front ends show it.
    """

    profiles: list[Profile]
    stale_profiles: list[Profile]
    engine: str
    python: Path | None
    source: Source
    models: tuple[str, ...]
    remarks: tuple[str, ...]
    shown: Planned

    @property
    def changes(self) -> bool:
        """Whether anything of SAMA itself is to be changed."""
        return not set(self.shown.steps) <= {"models", "check"}


def home_folder() -> Path:
    """SAMA_HOME.

    Raises:
        InstallError: the variable holds a relative path.
    """
    home = paths.home()
    if not home.is_absolute():
        raise InstallError(f"SAMA_HOME is {home}, which is not a full path. Give a full path, or unset it.")
    return home


def check_home(home: Path) -> None:
    """Make sure that SAMA_HOME is SAMA's own folder, or can become that.

    Raises:
        InstallError: it cannot.
    """
    if home.exists() and not home.is_dir():
        raise InstallError(
            f"{home} is a file, and SAMA needs a folder there. Move it away, or set SAMA_HOME to another place."
        )
    if home.is_dir() and not (home / "manifest.json").exists():
        others = sorted({entry.name for entry in home.iterdir()} - _ENGINES_OWN - _INSTALLERS_OWN)
        if others:
            # Uninstalling removes folders called run, logs, cache and engine from here.
            raise InstallError(
                f"{home} has other things in it ({others[0]}), and SAMA needs a folder of its own. "
                "Set SAMA_HOME to a new folder, or empty that one."
            )


def make_plan(wishes: Wishes, manifest: Manifest) -> Plan:
    """Look at this computer, and at what is installed already, and return what is to be done.

    Raises:
        InstallError: what is wished for cannot be done here.
    """
    home = manifest.home
    if os.environ.get("SUDO_USER") and not wishes.forced_profiles:
        raise InstallError("SAMA is installed for one user, not for the system. Run this again without sudo.")
    check_home(home)
    found_gimps = find_gimps(this_place())
    profiles = gimp_settings.find_profiles(found_gimps, wishes.forced_profiles)
    for profile in profiles:
        plugin_files.check_place(profile.plug_ins)
    plug_in = plugin_files.shipped()
    stale = [profile for profile in profiles if not plugin_files.is_current(plug_in, profile.plug_ins, manifest)]
    computer = this_computer()
    found = detect(computer)
    build = torch_builds.choose(wishes.torch, found, computer)
    size = torch_builds.Size(0, 0, 0, measured=True)
    remarks: tuple[str, ...] = ()
    python = lock = None
    info = _users_engine(wishes, manifest)
    if info:
        engine, python = "use", info.python
        remarks = _remarks_on_users(info)
        users = Environment(str(python), made=False, source="")
        done = engine_process.is_recorded(info) and manifest.environment == users
    else:
        _check_package(wishes)
        lock = None if wishes.newest else package.read_lock(wishes.package)
        engine = wishes.mend or environment.state(manifest, package.fingerprint(wishes.package), wishes.torch)
        done = engine == "keep" and engine_process.is_recorded(environment.inspect(environment.own_python(home)))
        if engine == "make":
            python, size = pythons.fit(wishes.base), build.size
            remarks = tuple(filter(None, (build.reason, found.note)))
        elif engine == "update":
            # Should PyTorch be too old for this engine, the newer one is of the same build.
            known = manifest.environment.torch if manifest.environment else ""
            build = torch_builds.choose(known or wishes.torch, found, computer)
            size = torch_builds.Size(0, 0, _UPDATE_BYTES, measured=False)
    offered: tuple[ModelOffer, ...] = ()
    if wishes.models or (wishes.models is None and wishes.ask and not wishes.dry_run):
        offered = models.offers(python or environment.own_python(home), wishes.package)
    wanted = models.not_here(wishes.models or (), offered)
    makes = engine == "make"
    steps = {
        "profiles": any(gimp_settings.has_no_profile_yet(profile) for profile in stale),
        "environment": makes,
        "download": engine in ("make", "update"),
        "engine": engine in ("make", "update"),
        "plug_in": bool(stale),
        "record": bool(stale) or not done,
        "models": bool(wanted),
        "check": wishes.check,
    }
    shown = Planned(
        version=__version__,
        home=str(home),
        gimps=tuple(_seen(found_gimps, profiles, stale)),
        engine=engine,
        python=str(python or ""),
        accelerator=found.name if makes else "",
        torch=build.name if makes else "",
        download_bytes=0 if wishes.wheels else size.download,
        kept_bytes=size.kept,
        needed_bytes=wishes.needed_bytes if makes and wishes.needed_bytes is not None else size.needed,
        free_bytes=environment.free_bytes(home),
        measured=size.measured,
        steps=tuple(name for name, is_wanted in steps.items() if is_wanted),
        models=tuple(offer for offer in offered if offer.missing and wishes.models is None),
    )
    source = Source(wishes.package, build, wishes.wheels, wishes.needed_bytes, lock)
    return Plan(profiles, stale, engine, python, source, wanted, remarks, shown)


def with_models(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the steps with that of getting models, which comes before trying everything out."""
    return tuple(name for name in STEPS if name in {*names, "models"})


def _users_engine(wishes: Wishes, manifest: Manifest) -> EngineInfo | None:
    """The engine in the user's own Python that is to be used: the one named now, else the one named before.

    Raises:
        InstallError: there is no such engine.
    """
    if wishes.python is not None:
        return environment.inspect(pythons.named(wishes.python))
    known = manifest.environment
    if known is None or known.made or wishes.own_environment:
        return None
    try:
        return environment.inspect(Path(known.python))
    except InstallError as error:
        raise InstallError(
            f"{error} It is the Python that SAMA has used so far; with --own-environment the installer makes an "
            "environment instead."
        ) from error


def _remarks_on_users(engine: EngineInfo) -> tuple[str, ...]:
    if engine.engine_version == __version__:
        return ()
    return (
        f"{engine.python} has the engine of SAMA {engine.engine_version}, and this is SAMA {__version__}. Bring "
        f'it up to date: "{engine.python}" -m pip install --upgrade "{package.shipped()}"',
    )


def _check_package(wishes: Wishes) -> None:
    if not wishes.package.exists():
        raise InstallError(f"There is nothing at {wishes.package} to install the engine from. Correct --package.")
    for folder in wishes.wheels:
        if not folder.is_dir():
            raise InstallError(f"There is no folder {folder} to take the engine's parts from. Correct --wheels.")


def _seen(found: list[Gimp], profiles: list[Profile], stale: list[Profile]) -> Iterator[GimpSeen]:
    """Every profile with the GIMP that uses it, the further GIMPs that use it too, and those that SAMA leaves out."""
    for profile in profiles:
        folder = str(profile.plug_ins / plugin_files.NAME)
        action = "install" if profile in stale else "keep"
        if profile.gimp is None:
            yield GimpSeen("GIMP", "", "", folder, action, "")
            continue
        yield _shown(profile.gimp, folder, action)
        for gimp in found:
            if gimp.works and gimp != profile.gimp and profile.folder == settings_root() / gimp.series:
                yield _shown(gimp, folder, action)
    for gimp in found:
        if not gimp.works:
            yield _shown(gimp, "", "skip")


def _shown(gimp: Gimp, folder: str, action: str) -> GimpSeen:
    program = gimp.console or gimp.program
    return GimpSeen(f"GIMP {gimp.version}", gimp.packaging, str(program or ""), folder, action, gimp.note)
