"""The way of an installation: plan, ask, do (or take all of it back), check."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    self_check,
    state,
    torch_builds,
    turn,
)
from installer.environment import EngineInfo, Source
from installer.events import (
    STEPS,
    Finished,
    FrontEnd,
    GimpSeen,
    InstallError,
    ModelOffer,
    Note,
    Planned,
    Steps,
    Stop,
    Stopped,
    TakingBack,
    sentence,
)
from installer.gimp_settings import Profile
from installer.package import Lock
from installer.state import Environment, Manifest, remove_tree
from installer.torch_builds import GIB, Build
from sama_core import __version__, paths
from sama_core.accelerator import Accelerator, detect, this_computer
from sama_core.gimp import Gimp, find_gimps, settings_root, this_place

#: What a running engine keeps in SAMA_HOME; a folder with only these in it is SAMA's own.
_ENGINES_OWN = {"run", "logs", "cache", "weights", "install.json"}
#: What a run that was cut off very early leaves.
_INSTALLERS_OWN = {"journal.json", "installing.lock", "window"}
_UPDATE_BYTES = GIB // 2


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
        build: the build of PyTorch that is put into a new environment.
        lock: the versions that are put into it; None for the newest.
        accelerator: what the engine can compute with.
        stale_profiles: the profiles whose plug-in is missing or not this version's.
        models: the models to have, NAME or NAME=FILE.
        remarks: what to know about the engine, whole sentences.
        shown: the plan as front ends show it.
    """

    profiles: list[Profile]
    stale_profiles: list[Profile]
    engine: str
    python: Path | None
    build: Build
    lock: Lock | None
    accelerator: Accelerator
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


def run(wishes: Wishes, front: FrontEnd, stop: Stop) -> int:
    """Install, or bring what is installed up to date; tell it all to `front` and return the exit status.

    Nothing that goes wrong is raised: it is told. After a failure nothing was changed, or all of it was taken back.
    """
    steps = Steps(front, stop)
    try:
        end = _install(wishes, steps, front)
    except (Stopped, KeyboardInterrupt) as error:
        end = Finished(130, False, sentence(error))
    except (InstallError, OSError) as error:
        end = Finished(1, False, sentence(error))
    front.tell(end)
    return end.status


def _install(wishes: Wishes, steps: Steps, front: FrontEnd) -> Finished:
    home = home_folder()
    with steps.step("look"):
        if os.environ.get("SUDO_USER") and not wishes.forced_profiles:
            raise InstallError("SAMA is installed for one user, not for the system. Run this again without sudo.")
        check_home(home)
        plan = _plan(wishes, Manifest.load(home), home)
    steps.tell(plan.shown)
    for text in plan.remarks:
        steps.tell(Note(text))
    cut_off = turn.cut_off_at(home)
    if cut_off:
        steps.tell(Note(f"The installation before this one was cut off at “{cut_off}”. This one mends that."))
    if wishes.dry_run:
        return Finished(0, False, "This was a dry run: nothing was changed.")
    _check_space(plan.shown)
    wanted = plan.models
    if wishes.ask and plan.changes:
        if not front.agrees(plan.shown):
            return Finished(1, False, "Nothing was changed.")
        if plan.shown.models:
            wanted = models.not_here(front.wants_models(plan.shown), plan.shown.models)
    steps.expect(_with_models(plan.shown.steps) if wanted else plan.shown.steps)
    if plan.changes:
        engine = _carry_out(plan, wishes, steps, home)
    else:
        with turn.taken(home, steps.stop):
            # A run that was killed at its very end had done all but this.
            _tidy_up(plan, home)
        engine = environment.inspect(plan.python or environment.python_in(environment.folder_in(home)))
    missing: dict[str, str] = {}
    if wanted:
        with steps.step("models"):
            missing = models.fetch(engine.python, wanted, steps)
    works = True
    if wishes.check:
        with steps.step("check"):
            works = self_check.run(plan.profiles, steps)
    # After the last time that GIMP was started.
    gimp_settings.remember(Manifest.load(home))
    message = _where(engine) + _lacking(missing) + ("" if works else _NOT_WELL)
    return Finished(0 if works and not missing else 1, plan.changes or bool(wanted), message, missing)


def _with_models(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the steps with that of getting models, which comes before trying everything out."""
    return tuple(name for name in STEPS if name in {*names, "models"})


def _lacking(missing: dict[str, str]) -> str:
    if not missing:
        return ""
    reasons = " ".join(f"{name}: {reason}" for name, reason in missing.items())
    again = " ".join(f"--model {name}" for name in missing)
    return (
        f"\n\nNot every model is there; SAMA works with those that are. {reasons} To try again, run this with {again}."
    )


_NOT_WELL = (
    "\n\nNot everything works yet: see above. What was installed stays in place. Mend that and run this installer "
    "again, or remove all of it with --uninstall. docs/troubleshooting.md has more."
)


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


def _plan(wishes: Wishes, manifest: Manifest, home: Path) -> Plan:
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
        done = engine_process.is_recorded(info) and manifest.environment == Environment(
            str(python), made=False, source=""
        )
    else:
        _check_package(wishes)
        lock = None if wishes.newest else package.read_lock(wishes.package)
        engine = wishes.mend or environment.state(manifest, package.fingerprint(wishes.package), wishes.torch)
        done = engine == "keep" and engine_process.is_recorded(environment.inspect(_own_python(home)))
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
        offered = models.offers(python or _own_python(home), wishes.package)
    wanted = models.not_here(wishes.models or (), offered)
    steps = _steps(wishes, engine, done, stale)
    if wanted:
        steps = _with_models(steps)
    shown = Planned(
        version=__version__,
        home=str(home),
        gimps=tuple(_seen(found_gimps, profiles, stale)),
        engine=engine,
        python=str(python or ""),
        accelerator=found.name if engine == "make" else "",
        torch=build.name if engine == "make" else "",
        download_bytes=0 if wishes.wheels else size.download,
        kept_bytes=size.kept,
        needed_bytes=size.needed if wishes.needed_bytes is None or engine != "make" else wishes.needed_bytes,
        free_bytes=environment.free_bytes(home),
        measured=size.measured,
        steps=steps,
        models=tuple(offer for offer in offered if offer.missing and wishes.models is None),
    )
    return Plan(profiles, stale, engine, python, build, lock, found, wanted, remarks, shown)


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


def _steps(wishes: Wishes, engine: str, done: bool, stale: list[Profile]) -> tuple[str, ...]:
    """The steps that this run takes; `done` says that the engine and its record are as they should be."""
    wanted = {
        "profiles": any(gimp_settings.has_no_profile_yet(profile) for profile in stale),
        "environment": engine == "make",
        "download": engine in ("make", "update"),
        "engine": engine in ("make", "update"),
        "plug_in": bool(stale),
        "record": bool(stale) or not done,
        "check": wishes.check,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def _check_package(wishes: Wishes) -> None:
    if not wishes.package.exists():
        raise InstallError(f"There is nothing at {wishes.package} to install the engine from. Correct --package.")
    for folder in wishes.wheels:
        if not folder.is_dir():
            raise InstallError(f"There is no folder {folder} to take the engine's parts from. Correct --wheels.")


def _own_python(home: Path) -> Path:
    return environment.python_in(environment.folder_in(home))


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


def _check_space(plan: Planned) -> None:
    if plan.free_bytes < plan.needed_bytes:
        needed, free = (f"{size / GIB:.1f} GiB" for size in (plan.needed_bytes, plan.free_bytes))
        raise InstallError(
            f"The engine needs {needed} of free disk space while it is installed, and the disk of {plan.home} has "
            f"{free}. Make room, or set SAMA_HOME to a folder on another disk."
        )


def _carry_out(plan: Plan, wishes: Wishes, steps: Steps, home: Path) -> EngineInfo:
    manifest = Manifest.load(home)
    with ExitStack() as undo:
        try:
            turn_taken = _begin(manifest, steps, undo)
            engine = _make_all(plan, wishes, manifest, steps, undo)
        except BaseException as error:
            _let_nobody_interrupt()
            steps.tell(TakingBack())
            undo.close()
            kept = _keep_downloads(manifest)
            if kept and isinstance(error, InstallError):
                raise type(error)(f"{error} {kept}") from error
            raise
        undo.pop_all()
        _tidy_up(plan, home)
        turn_taken.close()
    return engine


def _tidy_up(plan: Plan, home: Path) -> None:
    """Remove what an installation that is complete no longer needs."""
    for profile in plan.profiles:
        plugin_files.clear_leftovers(profile.plug_ins)
    if plan.engine == "use":
        remove_tree(environment.folder_in(home))
    environment.clear_downloads(home)
    turn.close(home)


def _begin(manifest: Manifest, steps: Steps, undo: ExitStack) -> ExitStack:
    """Make SAMA_HOME with a manifest in it, and take the turn to install; return what ends that turn."""
    home = manifest.home
    if home.is_dir() and any(home.iterdir()) and not manifest.path.exists():
        # An engine started by hand made it.
        manifest.add_folder(home)
    turn_taken = ExitStack()
    # Early in, so late out: when all else is undone the manifest becomes what it was, and then its folders go.
    manifest.make_folder(home, undo, mode=0o700)
    undo.callback(turn_taken.close)
    turn_taken.enter_context(turn.taken(home, steps.stop))
    state.put_back_on_failure(manifest.path, undo)
    gimp_settings.forget_used(manifest)
    manifest.save()
    undo.callback(turn.close, home)
    undo.callback(environment.clear_work, home)
    return turn_taken


def _make_all(plan: Plan, wishes: Wishes, manifest: Manifest, steps: Steps, undo: ExitStack) -> EngineInfo:
    @contextmanager
    def step(name: str) -> Iterator[None]:
        with steps.step(name):
            turn.note(manifest.home, name)
            yield

    source = Source(wishes.package, plan.build, wishes.wheels, wishes.needed_bytes, plan.lock)
    planned = plan.shown.steps
    engine = None
    if "profiles" in planned:
        with step("profiles"):
            for profile in plan.stale_profiles:
                gimp_settings.let_gimp_make(profile, manifest, undo)
    if plan.engine == "make" and plan.python is not None:
        with step("environment"):
            _end_engine(undo)
            environment.make(manifest, plan.python, plan.build, undo)
    if "engine" in planned:
        with step("download"):
            ready = environment.download(manifest.home, source, steps)
        with step("engine"):
            _end_engine(undo)
            engine = environment.install(manifest, source, ready, steps)
    if "plug_in" in planned:
        with step("plug_in"):
            for profile in plan.stale_profiles:
                manifest.make_folder(profile.plug_ins, undo)
                plugin_files.place(plugin_files.shipped(), profile.plug_ins, manifest, undo)
    with step("record"):
        engine = engine or _engine_there_is(plan, manifest, undo)
        engine_process.write_record(engine, undo)
        manifest.save()
    return engine


def _engine_there_is(plan: Plan, manifest: Manifest, undo: ExitStack) -> EngineInfo:
    if plan.engine == "use" and plan.python is not None:
        if manifest.environment and manifest.environment.made:
            _end_engine(undo)
        manifest.environment = Environment(str(plan.python), made=False, source="")
        return environment.inspect(plan.python)
    return environment.inspect(_own_python(manifest.home))


def _end_engine(undo: ExitStack) -> None:
    """End the engine, and let nobody start it while it is changed."""
    engine_process.withdraw_record(undo)
    engine_process.stop()


def _let_nobody_interrupt() -> None:
    """A second Ctrl+C must not leave the half of what is being taken away."""
    if threading.current_thread() is threading.main_thread():
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)


def _keep_downloads(manifest: Manifest) -> str:
    """Let uninstalling find the downloads that are kept for the next run; return a sentence on them."""
    home = manifest.home
    kept = environment.kept_download_bytes(home)
    if not kept:
        return ""
    restored = Manifest.load(home)
    for folder in map(Path, manifest.folders):
        if folder == home or folder in home.parents:
            restored.add_folder(folder)
    restored.save()
    return (
        f"What was downloaded, {kept / 1e6:.0f} MB, is kept for the next time in "
        f"{environment.downloads_folder_in(home)}; --uninstall removes it."
    )


def _where(engine: EngineInfo) -> str:
    return (
        f"SAMA for GIMP {engine.engine_version} is installed.\n"
        "Restart GIMP if it is running. Then, with a picture open and clicks made with the Path tool:\n"
        "  Filters → SAMA Select           makes a selection\n"
        "  Layer → Add SAMA Alpha Matte    cuts the layer out\n"
        "To take all of it away again, run this installer with --uninstall."
    )
