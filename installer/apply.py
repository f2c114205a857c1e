"""Do what a plan says, or take all of it back: ask, make, get the models, try everything out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installer import (
    engine_process,
    environment,
    gimp_settings,
    models,
    plugin_files,
    run_lock,
    self_check,
    state,
)
from installer.environment import EngineInfo
from installer.events import Finished, InstallError, Note, TakingBack
from installer.plan import Plan, Wishes, home_folder, make_plan, with_models
from installer.state import Environment, Manifest, remove_if_empty, remove_tree
from installer.steps import FrontEnd, Steps, Stop
from sama_core.weights.download import size_text

_NOT_WELL = (
    "\n\nNot everything works yet: see above. What was installed stays in place. Mend that and run this installer "
    "again, or remove all of it with --uninstall. docs/troubleshooting.md has more."
)


def install(wishes: Wishes, front: FrontEnd, stop: Stop) -> Finished:
    """Install, or bring what is installed up to date; tell it all to `front` but for the end, which is returned.

    Raises:
        InstallError, OSError, KeyboardInterrupt: nothing was changed, or all of it was taken back.
    """
    steps = Steps(front, stop)
    home = home_folder()
    with steps.step("look"):
        plan = make_plan(wishes, Manifest.load(home))
    steps.tell(plan.shown)
    for text in plan.remarks:
        steps.tell(Note(text))
    cut_off = run_lock.cut_off_at(home)
    if cut_off:
        steps.tell(Note(f"The installation before this one was cut off at “{cut_off}”. This one mends that."))
    if wishes.dry_run:
        return Finished(0, False, "This was a dry run: nothing was changed.")
    if plan.shown.lacks_space:
        needed, free = map(size_text, (plan.shown.needed_bytes, plan.shown.free_bytes))
        raise InstallError(
            f"The engine needs {needed} of free disk space while it is installed, and the disk of {home} has {free}. "
            "Make room, or set SAMA_HOME to a folder on another disk."
        )
    wanted = plan.models
    if wishes.ask and plan.changes:
        if not front.agrees(plan.shown):
            return Finished(1, False, "Nothing was changed.")
        if plan.shown.models:
            wanted = models.not_here(front.wants_models(plan.shown), plan.shown.models)
    steps.expect(with_models(plan.shown.steps) if wanted else plan.shown.steps)
    if plan.changes:
        engine = _carry_out(plan, steps, home)
    else:
        with run_lock.taken(home, steps.stop):
            # A run that was killed at its very end had done all but this.
            _tidy_up(plan, home)
        engine = environment.inspect(plan.python or environment.own_python(home))
    missing: dict[str, str] = {}
    if wanted:
        with steps.step("models"):
            missing = models.fetch(engine.python, wanted, steps)
    works = True
    if wishes.check:
        with steps.step("check"):
            works = self_check.run(engine.python, plan.profiles, steps)
    # After the last time that GIMP was started.
    gimp_settings.remember(Manifest.load(home))
    message = _where(engine) + _lacking(missing) + ("" if works else _NOT_WELL)
    return Finished(0 if works and not missing else 1, plan.changes or bool(wanted), message, missing)


def _lacking(missing: dict[str, str]) -> str:
    if not missing:
        return ""
    reasons = " ".join(f"{name}: {reason}" for name, reason in missing.items())
    again = " ".join(f"--model {name}" for name in missing)
    return (
        f"\n\nNot every model is there; SAMA works with those that are. {reasons} To try again, run this with {again}."
    )


def _carry_out(plan: Plan, steps: Steps, home: Path) -> EngineInfo:
    manifest = Manifest.load(home)
    with ExitStack() as undo:
        try:
            locked = _begin(manifest, steps, undo)
            engine = _make_all(plan, manifest, steps, undo)
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
        locked.close()
    return engine


def _tidy_up(plan: Plan, home: Path) -> None:
    """Remove what an installation that is complete no longer needs."""
    for profile in plan.profiles:
        plugin_files.clear_leftovers(profile.plug_ins)
    if plan.engine == "use":
        remove_tree(environment.folder_in(home))
    remove_tree(environment.work_folder_in(home))
    remove_tree(environment.downloads_folder_in(home))


def _begin(manifest: Manifest, steps: Steps, undo: ExitStack) -> ExitStack:
    """Make SAMA_HOME with a manifest in it, and take the lock on it; return what releases that."""
    home = manifest.home
    if home.is_dir() and any(home.iterdir()) and not manifest.path.exists():
        # An engine started by hand made it.
        manifest.add_folder(home)
    locked = ExitStack()
    # Early in, so late out: when all else is undone the manifest becomes what it was, and then its folders go.
    manifest.make_folder(home, undo, mode=0o700)
    undo.callback(locked.close)
    locked.enter_context(run_lock.taken(home, steps.stop))
    state.put_back_on_failure(manifest.path, undo)
    gimp_settings.forget_used(manifest)
    manifest.save()
    undo.callback(remove_if_empty, environment.downloads_folder_in(home))
    undo.callback(remove_tree, environment.work_folder_in(home))
    return locked


def _make_all(plan: Plan, manifest: Manifest, steps: Steps, undo: ExitStack) -> EngineInfo:
    @contextmanager
    def step(name: str) -> Iterator[None]:
        with steps.step(name):
            run_lock.note(name)
            yield

    planned = plan.shown.steps
    engine = None
    if "profiles" in planned:
        with step("profiles"):
            for profile in plan.stale_profiles:
                gimp_settings.let_gimp_make(profile, manifest, undo)
    if plan.engine == "make" and plan.python is not None:
        with step("environment"):
            _end_engine(undo)
            environment.make(manifest, plan.python, plan.source.build, undo)
    if "engine" in planned:
        with step("download"):
            ready = environment.download(manifest.home, plan.source, steps)
        with step("engine"):
            _end_engine(undo)
            engine = environment.install(manifest, plan.source, ready, steps)
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
    return environment.inspect(environment.own_python(manifest.home))


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
    downloads = environment.downloads_folder_in(home)
    kept = sum(file.stat().st_size for file in downloads.rglob("*") if file.is_file())
    if not kept:
        return ""
    restored = Manifest.load(home)
    for folder in map(Path, manifest.folders):
        if folder == home or folder in home.parents:
            restored.add_folder(folder)
    restored.save()
    return f"What was downloaded, {size_text(kept)}, is kept for the next time in {downloads}; --uninstall removes it."


def _where(engine: EngineInfo) -> str:
    return (
        f"SAMA for GIMP {engine.engine_version} is installed.\n"
        "Restart GIMP if it is running. Then, with a picture open and clicks made with the Path tool:\n"
        "  Filters → SAMA Select           makes a selection\n"
        "  Layer → Add SAMA Alpha Matte    cuts the layer out\n"
        "To take all of it away again, run this installer with --uninstall."
    )
