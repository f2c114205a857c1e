"""GIMP's settings folders: which of them SAMA goes into, new ones that GIMP makes, and what GIMP remembers of SAMA.

GIMP brings the settings of an older version along only while its own folder does not exist: a folder made by the
installer would cost the user those settings, so that GIMP itself is asked to make it. What GIMP writes of SAMA there:

    plug-in-settings/   the last values of each dialog
    action-history      the commands that were used, for its search of commands
    shortcutsrc         every command with its keys, in a comment when it has none

GIMP would keep the first two for good. It drops SAMA from pluginrc, its list of plug-ins, at its next start, and from
shortcutsrc when it is closed after that. A GIMP that runs meanwhile writes its lists anew when it is closed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from installer import plugin_files
from installer.events import InstallError
from installer.state import Manifest, remove_if_empty, remove_tree, replace_content
from sama_core.gimp import Gimp, settings_folders, settings_root, traceless_environment

_LISTS = ("action-history", "shortcutsrc")


@dataclass(frozen=True)
class Profile:
    """A folder of GIMP's settings; its `plug-ins` folder is where plug-ins go.

    Attributes:
        folder: for example `~/.config/GIMP/3.0`. It need not exist yet.
        gimp: the GIMP that uses it, or None when only the folder was found or it was named by the user.
    """

    folder: Path
    gimp: Gimp | None

    @property
    def plug_ins(self) -> Path:
        """Where this profile's plug-ins live."""
        return self.folder / "plug-ins"

    @property
    def console(self) -> Path | None:
        """The program that runs its GIMP without a screen, if it is known."""
        return self.gimp.console if self.gimp else None


def find_profiles(gimps: list[Gimp], forced: list[Path]) -> list[Profile]:
    """Return the profiles to install into: those in `forced`, else those of every GIMP 3 that SAMA can work with.

    Raises:
        InstallError: there is no such GIMP here.
    """
    working = [gimp for gimp in gimps if gimp.works]
    by_series: dict[str, Gimp] = {}
    for gimp in working:
        # Of several in one profile, one that can be asked without a screen.
        if gimp.series not in by_series or (gimp.console and not by_series[gimp.series].console):
            by_series[gimp.series] = gimp
    newest = by_series[working[0].series] if working else None
    if forced:
        return [Profile(folder, by_series.get(folder.name, newest)) for folder in forced]
    if os.environ.get("GIMP3_DIRECTORY"):
        return [Profile(folder, newest) for folder in settings_folders()]
    root = settings_root()
    on_disk = {folder.name for folder in settings_folders()}
    hopeless = {gimp.series for gimp in gimps if not gimp.works} - by_series.keys()
    series = sorted((on_disk - hopeless) | by_series.keys(), key=lambda name: int(name.split(".")[1]))
    if not series:
        raise InstallError(_nothing_found(gimps, root))
    return [Profile(root / name, by_series.get(name)) for name in series]


def has_no_profile_yet(profile: Profile) -> bool:
    """Whether the profile's GIMP is here and has never been started."""
    return not profile.folder.exists() and profile.console is not None


def run_without_screen(profile: Profile, code: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run Python `code` inside the profile's GIMP, without a screen; the result carries its output.

    Raises:
        OSError, subprocess.SubprocessError: GIMP cannot be started or did not end within `timeout` seconds.
    """
    command = [str(profile.console), "--no-data", "--no-fonts", "--quit"]
    with traceless_environment() as environment:
        return subprocess.run(
            [*command, "--batch-interpreter", "python-fu-eval", "-b", code],
            env={**environment, "GIMP3_DIRECTORY": str(profile.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )


def _nothing_found(gimps: list[Gimp], root: Path) -> str:
    refused = [gimp for gimp in gimps if not gimp.series.startswith("2.")]
    if refused:
        return f"Only GIMP {refused[0].version} ({refused[0].packaging}) was found. {refused[0].note}"
    old = gimps[0].version if gimps else "2.10" if (root / "2.10").is_dir() else ""
    found = f"Only GIMP {old} was found, and SAMA needs GIMP 3.0 or newer." if old else "No GIMP was found."
    return (
        f"{found} Install GIMP 3, start it once, and run this installer again. If GIMP 3 is here in an unusual place, "
        "name its settings folder: --gimp-profile FOLDER (in GIMP: Edit, Preferences, Folders, Plug-Ins shows it)."
    )


def let_gimp_make(profile: Profile, manifest: Manifest, undo: ExitStack) -> None:
    """Start GIMP once, without a screen, when it has no profile yet; `undo` takes away what it makes.

    When GIMP cannot do it, the folder stays missing.
    """
    folder = profile.folder
    if not has_no_profile_yet(profile):
        return
    manifest.make_folder(folder.parent, undo)
    manifest.new_profiles[str(folder)] = ""
    manifest.save()
    undo.callback(remove_tree, folder)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run_without_screen(profile, "pass", timeout=120)
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


def forget(profile: Path) -> None:
    """Remove what GIMP remembers of SAMA in its settings folder `profile`; all else in these files stays as it is.

    Raises:
        OSError: a file cannot be read or written; it is as it was then.
    """
    _forget_values(profile / "plug-in-settings")
    for name in _LISTS:
        # A link that somebody made of it stays a link.
        file = (profile / name).resolve()
        if not file.is_file():
            continue
        known = file.read_bytes()
        rest = b"".join(line for line in known.splitlines(keepends=True) if not _names_sama(line))
        if rest != known:
            replace_content(file, rest, file.stat().st_mode & 0o777)


def _forget_values(folder: Path) -> None:
    for procedure in plugin_files.PROCEDURES:
        # GIMP puts the kind of what it keeps before the name: GimpProcedureConfigRun-plug-in-….last
        for file in folder.glob(f"Gimp*-{procedure}.*"):
            file.unlink(missing_ok=True)
    remove_if_empty(folder)


def _names_sama(line: bytes) -> bool:
    """Whether a line is an entry about a command of SAMA's, be it in a comment or not.

    GIMP writes each entry of both lists on a line of its own; one that somebody spread over several lines is left.
    """
    kind, _, rest = (line[2:] if line.startswith(b"# ") else line).partition(b' "')
    names = [name.encode() for name in plugin_files.PROCEDURES]
    whole = kind in (b"(history-item", b"(action") and rest.rstrip().endswith(b")")
    return whole and rest.partition(b'"')[0] in names
