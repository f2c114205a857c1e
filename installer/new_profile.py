"""GIMP's settings folder where there is none yet: made by GIMP itself, and taken away again if nobody used it.

GIMP brings the settings of an older version along only while its own folder does not exist: a folder made by the
installer would cost the user those settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from installer import gimps, plugin_files
from installer.gimps import Profile
from installer.state import Manifest, remove_tree


def let_gimp_make(profile: Profile, manifest: Manifest, undo: ExitStack) -> None:
    """Start GIMP once, without a screen, when it has no profile yet; `undo` takes away what it makes.

    When GIMP cannot do it, the folder stays missing.
    """
    folder = profile.folder
    if folder.exists() or profile.gimp is None or profile.gimp.console is None:
        return
    manifest.make_folder(folder.parent, undo)
    manifest.new_profiles[str(folder)] = ""
    manifest.save()
    undo.callback(remove_tree, folder)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        gimps.run_without_screen(profile, "pass", timeout=120)
    remember(manifest)


def forget_used(manifest: Manifest) -> None:
    """Take the profiles off the manifest that have been used since: they are their user's now, for good."""
    manifest.new_profiles = {str(folder): manifest.new_profiles[str(folder)] for folder in untouched(manifest)}


def remember(manifest: Manifest) -> None:
    """Note what is in the new profiles now, so that it can be told later whether GIMP has been used since.

    To be called after the last time that the installer starts GIMP, which writes into its profile each time, and
    after `forget_used`.
    """
    for name in list(manifest.new_profiles):
        if Path(name).is_dir():
            manifest.new_profiles[name] = _fingerprint(Path(name))
        else:
            del manifest.new_profiles[name]
    manifest.save()


def untouched(manifest: Manifest) -> list[Path]:
    """Return the profiles that GIMP made for the installer, and that nobody has used since."""
    known = [(Path(name), digest) for name, digest in manifest.new_profiles.items()]
    return [folder for folder, digest in known if folder.is_dir() and _fingerprint(folder) == digest]


def _fingerprint(folder: Path) -> str:
    """A hash of all that is in a profile, but for SAMA's own folder."""
    digest = hashlib.sha256()
    own = folder / "plug-ins" / plugin_files.NAME
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(place, name) != own)
        for name in sorted(files):
            file = Path(place, name)
            content = os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
            digest.update(f"{file.relative_to(folder).as_posix()}\0".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
