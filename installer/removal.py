"""Take away what the installer made, and nothing else."""

from __future__ import annotations

from pathlib import Path

from installer import checkout, engine_process, environment, plugin_files
from installer.installation import home_folder
from installer.manifest import Manifest, remove_tree


def uninstall(dry_run: bool) -> int:
    """Remove all that is installed; return the exit status. Nothing installed is no failure.

    Raises:
        InstallError: something cannot be removed; running it again goes on with what is left.
    """
    home = home_folder()
    manifest = Manifest.load(home)
    if not manifest.path.exists():
        print(f"SAMA is not installed: there is no {manifest.path}. Nothing was changed.")
        return 0
    paths = checkout.paths
    trees = [
        environment.work_folder_in(home),
        paths.state_file().parent,
        paths.log_file().parent,
        paths.cache_dir(),
    ]
    if manifest.environment and manifest.environment.made:
        trees.append(environment.folder_in(home))
    plug_ins = [Path(name).parent for name in manifest.folders if Path(name).name == plugin_files.NAME]
    for place in [
        *(folder / plugin_files.NAME for folder in plug_ins),
        *(tree for tree in trees if tree.exists()),
    ]:
        print(f"{'Would remove' if dry_run else 'Removing'} {place}")
    if dry_run:
        print("\nThis was a dry run: nothing was changed.")
        return 0
    engine_process.stop()
    for folder in plug_ins:
        plugin_files.clear_leftovers(folder)
    for tree in trees:
        remove_tree(tree)
    paths.install_record().unlink(missing_ok=True)
    manifest.remove_files()
    manifest.path.unlink()
    for folder in manifest.remove_folders():
        if folder == home or folder.name == plugin_files.NAME:
            print(f"{folder} stays: there are files in it that the installer did not put there.")
    print("\nSAMA for GIMP is removed. Restart GIMP if it is running.")
    return 0
