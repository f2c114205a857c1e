"""The way of an installation: plan, ask, do (or take all of it back), check."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from installer import (
    checkout,
    engine_process,
    environment,
    gimps,
    new_profile,
    plugin_files,
    private_json,
    record,
    self_check,
)
from installer.environment import GIB, EngineInfo
from installer.failures import InstallError
from installer.gimps import Profile
from installer.manifest import Environment, Manifest, remove_tree

#: What a running engine keeps in SAMA_HOME; a folder with only these in it is SAMA's own.
_ENGINES_OWN = {"run", "logs", "cache", "weights", "install.json"}
_UPDATE_BYTES = GIB // 2


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for.

    Attributes:
        forced_profiles: GIMP profile folders to use instead of those found.
        python: an interpreter that has the engine already, or None to make an environment.
        package: what to install the engine from.
        needed_bytes: free disk space to insist on instead of the measured figure, or None.
        ask: ask before anything is done.
        mend: what a damaged environment of the installer's needs, whatever the manifest says: "make" it again or
            "update" the engine in it; "" when nothing is known to be damaged.
    """

    forced_profiles: list[Path]
    python: str | None
    package: Path
    needed_bytes: int | None
    ask: bool
    dry_run: bool
    check: bool
    mend: str = ""


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        engine: "use" the environment named by the user, "make" one, "update" or "keep" the one there is.
        python: the interpreter to use, or to make the environment with; None for "update" and "keep".
        stale_profiles: the profiles whose plug-in is missing or not this version's.
        needed_bytes: free disk space that the engine's part wants.
    """

    profiles: list[Profile]
    stale_profiles: list[Profile]
    engine: str
    python: Path | None
    needed_bytes: int


def home_folder() -> Path:
    """SAMA_HOME.

    Raises:
        InstallError: the variable holds a relative path.
    """
    home = checkout.paths.home()
    if not home.is_absolute():
        raise InstallError(f"SAMA_HOME is {home}, which is not a full path. Give a full path, or unset it.")
    return home


def install(wishes: Wishes) -> int:
    """Install, or bring what is installed up to date; return the exit status.

    Raises:
        InstallError: nothing was changed, or all of it was taken back.
    """
    if os.environ.get("SUDO_USER") and not wishes.forced_profiles:
        raise InstallError("SAMA is installed for one user, not for the system. Run this again without sudo.")
    home = home_folder()
    manifest = Manifest.load(home)
    _check_home(home)
    plan = _plan(wishes, manifest)
    _show(plan, home)
    if wishes.dry_run:
        print("\nThis was a dry run: nothing was changed.")
        return 0
    _check_space(plan, home)
    if wishes.ask and (plan.engine in ("make", "update") or plan.stale_profiles) and not _agreed():
        print("Nothing was changed.")
        return 1
    new_profile.forget_used(manifest)
    engine = _carry_out(plan, wishes, manifest)
    checked = not wishes.check or self_check.run(plan.profiles)
    new_profile.remember(manifest)
    _say_where(engine)
    if wishes.check and wishes.ask:
        self_check.offer_to_show(self_check.result_picture())
    return 0 if checked else 1


def _check_home(home: Path) -> None:
    if home.exists() and not home.is_dir():
        raise InstallError(
            f"{home} is a file, and SAMA needs a folder there. Move it away, or set SAMA_HOME to another place."
        )
    if home.is_dir() and not (home / "manifest.json").exists():
        others = sorted({entry.name for entry in home.iterdir()} - _ENGINES_OWN)
        if others:
            # Uninstalling removes folders called run, logs, cache and engine from here.
            raise InstallError(
                f"{home} has other things in it ({others[0]}), and SAMA needs a folder of its own. "
                "Set SAMA_HOME to a new folder, or empty that one."
            )


def _plan(wishes: Wishes, manifest: Manifest) -> Plan:
    profiles = gimps.find_profiles(gimps.find_gimps(), wishes.forced_profiles)
    for profile in profiles:
        plugin_files.check_place(profile.plug_ins)
    source = checkout.plugin_source()
    stale = [profile for profile in profiles if not plugin_files.is_current(source, profile.plug_ins, manifest)]
    if wishes.python is not None:
        python = environment.existing_python(wishes.python)
        environment.inspect(python)
        return Plan(profiles, stale, "use", python, 0)
    if not wishes.package.exists():
        raise InstallError(f"There is nothing at {wishes.package} to install the engine from. Correct --package.")
    state = wishes.mend or environment.state(manifest, environment.fingerprint(wishes.package))
    if state == "make":
        needed = environment.expected_size().needed if wishes.needed_bytes is None else wishes.needed_bytes
        return Plan(profiles, stale, "make", environment.base_python(), needed)
    return Plan(profiles, stale, state, None, _UPDATE_BYTES if state == "update" else 0)


def _show(plan: Plan, home: Path) -> None:
    print(f"SAMA for GIMP {checkout.version()}\n")
    for profile in plan.profiles:
        name = f"GIMP {profile.gimp.version} ({profile.gimp.packaging})" if profile.gimp else "GIMP (program not found)"
        what = "goes into" if profile in plan.stale_profiles else "is in place in"
        print(f"{name}: the plug-in {what} {profile.plug_ins / plugin_files.NAME}")
        if profile.gimp and profile.gimp.packaging in _PACKAGING_NOTES:
            print(f"  Note: {_PACKAGING_NOTES[profile.gimp.packaging]}")
    folder = environment.folder_in(home)
    if plan.engine == "use":
        print(f"Engine: the one that {plan.python} has is used")
    elif plan.engine == "make":
        kept = environment.expected_size().kept / GIB
        print(f"Engine: goes into {folder}, made with {plan.python}")
        print(f"  PyTorch and what else the engine needs are downloaded. They take about {kept:.1f} GiB of disk.")
    elif plan.engine == "update":
        print(f"Engine: the one in {folder} is updated")
    else:
        print(f"Engine: the one in {folder} is up to date")
    if plan.needed_bytes:
        free = environment.free_bytes(home) / GIB
        print(f"  Free disk space needed meanwhile: {plan.needed_bytes / GIB:.1f} GiB. There are {free:.1f} GiB.")


_PACKAGING_NOTES = {
    "flatpak": "not tested with Flatpak. Its sandbox can reach a running engine but may be unable to start "
    "one; "
    "see docs/troubleshooting.md.",
    "snap": "not tested with Snap. Its sandbox hides the folder the engine is in, so expect that SAMA does "
    "not work there; "
    "see docs/troubleshooting.md.",
}


def _check_space(plan: Plan, home: Path) -> None:
    free = environment.free_bytes(home)
    if plan.needed_bytes and free < plan.needed_bytes:
        raise InstallError(
            f"The engine needs {plan.needed_bytes / GIB:.1f} GiB of free disk space while it is installed, "
            f"and the disk of {home} "
            f"has {free / GIB:.1f} GiB. Make room, or set SAMA_HOME to a folder on another disk."
        )


def _agreed() -> bool:
    try:
        answer = input("\nGo on? [Y/n] ")
    except EOFError:
        print()
        raise InstallError("There is nobody to ask. Give --yes to install without asking.") from None
    return answer.strip().lower() in ("", "y", "yes")


def _carry_out(plan: Plan, wishes: Wishes, manifest: Manifest) -> EngineInfo:
    home = manifest.home
    undo = ExitStack()
    try:
        engine = _make_all(plan, wishes, manifest, undo)
    except BaseException:
        # A second Ctrl+C must not leave the half of what is being taken away.
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        print("\nThis run cannot come to its end. What it has made is being taken away again …", file=sys.stderr)
        undo.close()
        raise
    for profile in plan.stale_profiles:
        plugin_files.clear_leftovers(profile.plug_ins)
    if plan.engine == "use":
        remove_tree(environment.folder_in(home))
    return engine


def _make_all(plan: Plan, wishes: Wishes, manifest: Manifest, undo: ExitStack) -> EngineInfo:
    home = manifest.home
    if home.is_dir() and any(home.iterdir()) and not manifest.path.exists():
        # An engine started by hand made it.
        manifest.add_folder(home)
    # Early in, so late out: when all else is undone the manifest becomes what it was, and then its folders go.
    manifest.make_folder(home, undo, mode=0o700)
    private_json.put_back_on_failure(manifest.path, undo)
    for profile in plan.stale_profiles:
        new_profile.let_gimp_make(profile, manifest, undo)
    engine = _provide_engine(plan, wishes, manifest, undo)
    for profile in plan.stale_profiles:
        manifest.make_folder(profile.plug_ins, undo)
        plugin_files.place(checkout.plugin_source(), profile.plug_ins, manifest, undo)
    record.write(engine, undo)
    manifest.save()
    return engine


def _provide_engine(plan: Plan, wishes: Wishes, manifest: Manifest, undo: ExitStack) -> EngineInfo:
    if plan.engine == "use" and plan.python is not None:
        if manifest.environment and manifest.environment.made:
            engine_process.stop()
        manifest.environment = Environment(str(plan.python), made=False, source="")
        return environment.inspect(plan.python)
    if plan.engine == "make" and plan.python is not None:
        engine_process.stop()
        return environment.make(manifest, wishes.package, plan.python, undo)
    if plan.engine == "update":
        engine_process.stop()
        return environment.update(manifest, wishes.package)
    return environment.inspect(environment.python_in(environment.folder_in(manifest.home)))


def _say_where(engine: EngineInfo) -> None:
    print(f"\nSAMA for GIMP {engine.engine_version} is installed.")
    print("Restart GIMP if it is running. Then, with a picture open and clicks made with the Path tool:")
    print("  Filters → SAMA Select           makes a selection")
    print("  Layer → Add SAMA Alpha Matte    cuts the layer out")
    print("To take all of it away again, run this installer with --uninstall.")
