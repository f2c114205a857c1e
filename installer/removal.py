"""Take away what the installer made, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

from installer import (
    checkout,
    engine_process,
    environment,
    gimp_memory,
    journal,
    new_profile,
    plugin_files,
    record,
    turn,
    window_launch,
)
from installer.installation import home_folder
from installer.manifest import FILE_NAME, Manifest, remove_if_empty, remove_tree

_MB = 1_000_000


def uninstall(dry_run: bool, remove_weights: bool | None = None, keep_window: bool = False) -> int:
    """Remove all that is installed; return the exit status. Nothing installed is no failure.

    Args:
        dry_run: only say what would be done.
        remove_weights: whether the downloaded weights go too; None asks, and keeps them when nobody can be asked.
        keep_window: leave the environment of the installer's window, which the window runs from.

    Raises:
        InstallError: something cannot be removed; running it again goes on with what is left.
    """
    home = home_folder()
    manifest = Manifest.load(home)
    weights = weight_files()
    if not manifest.path.exists() and not (weights and remove_weights):
        print(f"SAMA is not installed: there is no {manifest.path}. Nothing was changed.")
        return 0
    if weights and remove_weights is None and not dry_run:
        remove_weights = _agreed_to_lose(weights)
    # A folder without a file in it holds nothing to keep.
    trees = _trees(manifest, remove_weights=bool(remove_weights) or not weights)
    window = window_launch.folder_in(home)
    if not keep_window:
        trees.append(window)
    _show(manifest, trees, "Would remove" if dry_run else "Removing")
    if weights and not remove_weights:
        verb = "Keeping" if not dry_run else "Would keep" if remove_weights is False else "Would ask about"
        print(f"{verb} {checkout.paths.weights_dir()} ({_summary(weights)})")
    if dry_run:
        print("\nThis was a dry run: nothing was changed.")
        return 0
    engine_process.stop()
    _remove(manifest, trees)
    if window.is_dir():
        # Who started the window goes on from here when it is closed.
        manifest.files, manifest.environment = {}, None
        manifest.save()
    _say_what_stays(manifest)
    return 0


def weight_files() -> list[Path]:
    """The files in the folder of weights: those that were downloaded, and those that the user put there."""
    folder = checkout.paths.weights_dir()
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []


def _agreed_to_lose(weights: list[Path]) -> bool:
    print(f"There are models in {checkout.paths.weights_dir()}:")
    for file in weights:
        print(f"  {file.name}, {file.stat().st_size / _MB:.0f} MB")
    if sys.stdin is None:
        return False
    try:
        answer = input("Remove them too? Models of your own training cannot be downloaded again. [y/N] ")
    except EOFError:
        print("\nThere is nobody to ask, so they stay. --remove-weights removes them.")
        return False
    return answer.strip().lower() in ("y", "yes")


def _trees(manifest: Manifest, remove_weights: bool) -> list[Path]:
    """The folders that go whole: what SAMA made in its own folder, and GIMP's profiles that nobody has used."""
    paths = checkout.paths
    trees = [
        environment.work_folder_in(manifest.home),
        environment.downloads_folder_in(manifest.home),
        paths.state_file().parent,
        paths.log_file().parent,
        paths.cache_dir(),
    ]
    if manifest.environment and manifest.environment.made:
        trees.append(environment.folder_in(manifest.home))
    if remove_weights:
        trees.append(paths.weights_dir())
    return trees + new_profile.untouched(manifest)


def _show(manifest: Manifest, trees: list[Path], verb: str) -> None:
    for place in [*manifest.plug_in_folders(plugin_files.NAME), *(tree for tree in trees if tree.exists())]:
        print(f"{verb} {place}")


def _remove(manifest: Manifest, trees: list[Path]) -> None:
    plug_ins = [folder.parent for folder in manifest.plug_in_folders(plugin_files.NAME)]
    for folder in plug_ins:
        plugin_files.clear_leftovers(folder)
    for tree in trees:
        remove_tree(tree)
    for folder in plug_ins:
        # After the gigabytes: who uninstalls because the disk is full has room for it now.
        gimp_memory.forget(folder.parent)
    record.remove()
    journal.close(manifest.home)
    turn.leave(manifest.home)
    manifest.remove_files()
    # Last, so that a removal that was cut off can be gone on with.
    manifest.path.unlink(missing_ok=True)


def _say_what_stays(manifest: Manifest) -> None:
    home = manifest.home
    if not manifest.folders:
        # Nothing is installed, only weights were: they had been kept when the rest went.
        remove_if_empty(home)
    for folder in manifest.remove_folders():
        if folder.name == plugin_files.NAME or (folder == home and _others_in(home)):
            print(f"{folder} stays: there are files in it that the installer did not put there.")
    print("\nSAMA for GIMP is removed. Restart GIMP if it is running.")


def _others_in(home: Path) -> bool:
    ours = {checkout.paths.weights_dir(), window_launch.folder_in(home), home / FILE_NAME}
    return any(entry not in ours for entry in home.iterdir())


def _summary(weights: list[Path]) -> str:
    size = sum(file.stat().st_size for file in weights) / _MB
    return f"{len(weights)} file{'s' if len(weights) != 1 else ''}, {size:.0f} MB"
