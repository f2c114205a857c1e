"""Take away what the installer made, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from installer import engine_process, environment, gimp_settings, plugin_files, run_lock, window_launch
from installer.events import Finished, InstallError, Note, RemovalPlanned, WeightFile, sentence
from installer.plan import home_folder
from installer.state import FILE_NAME, Manifest, remove_if_empty, remove_tree
from installer.steps import FrontEnd, Steps, Stop, Stopped
from sama_core import paths


def uninstall(front: FrontEnd, remove_weights: bool | None, dry_run: bool, keep_window: bool) -> Finished:
    """Remove all that is installed; tell it all to `front` but for the end. Nothing installed is no failure.

    Run again after a failure, it goes on with what is left.

    Args:
        remove_weights: whether the downloaded weights go too; None asks.
        dry_run: only say what would be done.
        keep_window: leave the environment of the installer's window, which the window runs from.

    Raises:
        InstallError, OSError, KeyboardInterrupt: nothing was changed.
    """
    # Nobody stops it: half a removal is of no use.
    steps = Steps(front, Stop())
    with steps.step("look"):
        manifest = Manifest.load(home_folder())
        plan = _plan(manifest, remove_weights, keep_window)
    if plan is None:
        text = f"SAMA is not installed: there is no {manifest.path}. Nothing was changed."
        if weight_files():
            text += f" The models that were kept are in {paths.weights_dir()}; --remove-weights removes them."
        return Finished(0, False, text)
    steps.tell(plan)
    if dry_run:
        return Finished(0, False, "This was a dry run: nothing was changed.")
    fate, begun = plan.weights_fate, False
    try:
        weights_go = fate == "remove" or (fate == "ask" and front.gives_up(plan))
        steps.expect(plan.steps)
        begun = True
        _remove(manifest, _trees(manifest, weights_go, keep_window), steps)
    except (Stopped, KeyboardInterrupt):
        rest = "Run this again with --uninstall to remove what is left." if begun else "Nothing was changed."
        return Finished(130, begun, f"Stopped. {rest}")
    except (InstallError, OSError) as error:
        return Finished(1, begun, sentence(error))
    return Finished(0, True, "SAMA for GIMP is removed. Restart GIMP if it is running.")


def weight_files() -> list[Path]:
    """The files in the folder of weights: those that were downloaded, and those that the user put there."""
    folder = paths.weights_dir()
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []


def _plan(manifest: Manifest, remove_weights: bool | None, keep_window: bool) -> RemovalPlanned | None:
    """What there is to do; None when nothing is installed."""
    weights = weight_files()
    if not manifest.path.exists() and not (weights and remove_weights):
        return None
    fate = {True: "remove", False: "keep", None: "ask" if weights else "keep"}[remove_weights]
    trees = _trees(manifest, fate == "remove", keep_window)
    places = [*manifest.plug_in_folders(plugin_files.NAME), *(tree for tree in trees if tree.exists())]
    return RemovalPlanned(
        home=str(manifest.home),
        places=tuple(map(str, places)),
        weights_folder=str(paths.weights_dir()),
        weights=tuple(WeightFile(file.name, file.stat().st_size) for file in weights),
        weights_fate=fate,
        steps=("end_engine", "remove", "take_out"),
    )


def _trees(manifest: Manifest, remove_weights: bool, keep_window: bool) -> list[Path]:
    """The folders that go whole: what SAMA made in its own folder, and GIMP's profiles that nobody has used."""
    trees = [
        environment.work_folder_in(manifest.home),
        environment.downloads_folder_in(manifest.home),
        paths.state_file().parent,
        paths.log_file().parent,
        paths.cache_dir(),
    ]
    if manifest.environment and manifest.environment.made:
        trees.append(environment.folder_in(manifest.home))
    # A folder without a file in it holds nothing to keep.
    if remove_weights or not weight_files():
        trees.append(paths.weights_dir())
    trees += gimp_settings.untouched(manifest)
    if not keep_window:
        trees.append(window_launch.folder_in(manifest.home))
    return trees


def _remove(manifest: Manifest, trees: list[Path], steps: Steps) -> None:
    home = manifest.home
    with run_lock.taken(home, steps.stop):
        with steps.step("end_engine"), ExitStack() as undo:
            # Lest GIMP starts another one meanwhile.
            engine_process.withdraw_record(undo)
            engine_process.stop()
            undo.pop_all()
        plug_ins = [folder.parent for folder in manifest.plug_in_folders(plugin_files.NAME)]
        with steps.step("remove"):
            for folder in plug_ins:
                plugin_files.clear_leftovers(folder)
            for tree in trees:
                remove_tree(tree)
            engine_process.remove_record()
        with steps.step("take_out"):
            for folder in plug_ins:
                # First: GIMP passes over what is left of the folder without it.
                (folder / plugin_files.NAME / plugin_files.MAIN).unlink(missing_ok=True)
            manifest.remove_files()
            for folder in plug_ins:
                # After the gigabytes: who uninstalls because the disk is full has room for it now.
                gimp_settings.forget(folder.parent)
            manifest.remove_folders()
        # Last but for its own folder, so that a removal that was cut off can be gone on with.
        manifest.path.unlink(missing_ok=True)
    if window_launch.folder_in(home).is_dir():
        # Who started the window goes on from here when it is closed.
        manifest.files, manifest.environment = {}, None
        manifest.save()
    for folder in _staying(manifest):
        steps.tell(Note(f"{folder} stays: there are files in it that the installer did not put there."))


def _staying(manifest: Manifest) -> Iterator[Path]:
    """Remove the folders that are empty now, and yield those that the user's files keep in place."""
    home = manifest.home
    if not manifest.folders:
        # Nothing is installed, only weights were: they had been kept when the rest went.
        remove_if_empty(home)
    for folder in manifest.remove_folders():
        if folder.name == plugin_files.NAME or (folder == home and _others_in(home)):
            yield folder


def _others_in(home: Path) -> bool:
    ours = {paths.weights_dir(), window_launch.folder_in(home), home / FILE_NAME}
    return any(entry not in ours for entry in home.iterdir())
