"""Look at everything that was installed, and put back what is missing or changed. Settings and weights stay."""

from __future__ import annotations

import base64
import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from installer import environment, plugin_files, state
from installer.events import Finished, FrontEnd, InstallError, Note, Stop
from installer.installation import Wishes, home_folder, run
from installer.state import Environment, Manifest
from sama_core import paths
from sama_core.files import file_sha256

#: As pip writes it into the names of folders.
_ENGINES_PACKAGE = "sama_gimp-"
#: In place of the fingerprint of what the environment holds, when only the manifest knew it.
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was installed.

    Attributes:
        path: the file or folder.
        what: what is wrong with it, to be read after its name.
        remedy: what has to be done to the environment: "make" it again, "update" the engine in it, or "" for nothing.
    """

    path: Path
    what: str
    remedy: str = ""


def repair(wishes: Wishes, front: FrontEnd, stop: Stop) -> int:
    """Say what is damaged, put it right, try everything out, and return the exit status.

    What was installed decides where to, unless `wishes` names other profiles or another Python. What is told first are
    notes; then all goes as in `installation.run`.

    Raises:
        InstallError: nothing is installed, or it cannot be put right; what was sound is in place then.
    """
    home = home_folder()
    manifest, known = _known_or_found(home, front)
    front.tell(Note("Looking at every file that was installed; with a large engine this takes a minute …"))
    damages = list(look(manifest))
    for damage in damages:
        front.tell(Note(f"{damage.path} {damage.what}", warning=True))
    if not damages:
        front.tell(Note("Every file is as it was installed."))
    remedies = {damage.remedy for damage in damages}
    # A manifest that was found again has to be on disk for the rest.
    if not known:
        if wishes.dry_run:
            text = f"Would make {manifest.path} anew.\n\nThis was a dry run: nothing was changed."
            front.tell(Finished(0, False, text))
            return 0
        manifest.save()
    profiles = [folder.parent.parent for folder in manifest.plug_in_folders(plugin_files.NAME)]
    return run(
        replace(
            wishes,
            forced_profiles=wishes.forced_profiles or profiles,
            # A repair has no question about further ones.
            models=wishes.models or (),
            mend="make" if "make" in remedies else "update" if "update" in remedies else "",
        ),
        front,
        stop,
    )


def look(manifest: Manifest) -> Iterator[Damage]:
    """Yield everything of the manifest that is missing or changed. Nothing is changed."""
    yield from _look_at_plug_ins(manifest)
    yield from _look_at_record(manifest)
    yield from _look_at_environment(manifest)


def _look_at_plug_ins(manifest: Manifest) -> Iterator[Damage]:
    for name, digest in manifest.files.items():
        file = Path(name)
        try:
            if plugin_files.file_digest(file) != digest and digest:
                yield Damage(file, "was changed")
        except FileNotFoundError:
            yield Damage(file, "is missing")
        except OSError as error:
            yield Damage(file, f"cannot be read ({error.strerror})")
        if file.name == plugin_files.MAIN and file.is_file() and not os.access(file, os.X_OK):
            yield Damage(file, "is not executable, so that GIMP passes over it")


def _look_at_record(manifest: Manifest) -> Iterator[Damage]:
    path = paths.install_record()
    record = state.read_json(path)
    if record is None:
        yield Damage(path, "is damaged" if path.exists() else "is missing")
    elif manifest.environment and record.get("python") != manifest.environment.python:
        yield Damage(path, "names another Python than the one that was installed")


def _look_at_environment(manifest: Manifest) -> Iterator[Damage]:
    known = manifest.environment
    if known is None or (not known.source and known.made):
        folder = environment.folder_in(manifest.home)
        yield Damage(folder, "was never finished", "make")
        return
    if not known.made:
        # Somebody else's, and theirs to mend; `install` says so when it does not work.
        return
    folder = environment.folder_in(manifest.home)
    damaged = list(damaged_packages(folder))
    for package, file in damaged:
        yield Damage(file, "is missing or changed", "update" if package.startswith(_ENGINES_PACKAGE) else "make")
    try:
        environment.inspect(Path(known.python))
    except InstallError:
        # With the engine's own files damaged it is no wonder that it cannot be imported.
        only_the_engine = damaged and all(package.startswith(_ENGINES_PACKAGE) for package, _ in damaged)
        yield Damage(folder, "does not work", "update" if only_the_engine else "make")
    else:
        if known.source == _UNKNOWN:
            yield Damage(folder, "holds an engine of unknown origin", "update")


def damaged_packages(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the packages of the environment in `folder` that are not as pip installed them.

    Each once, with the first of its files that is missing or has another size or hash than pip noted.
    """
    pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python3*/site-packages"
    for packages in folder.glob(pattern):
        for info in sorted(packages.glob("*.dist-info")):
            file = _first_damaged(packages, info)
            if file is not None:
                yield info.name, file


def _first_damaged(packages: Path, info: Path) -> Path | None:
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as record:
            rows = [row for row in csv.reader(record) if len(row) == 3]
    except (OSError, ValueError, csv.Error):
        return info / "RECORD"
    for name, noted, size in rows:
        algorithm, _, expected = noted.partition("=")
        file = packages / name
        if file.suffix == ".pyc":
            # Python makes these anew at any time.
            continue
        try:
            length = file.stat().st_size
            # What pip wrote itself carries no hash.
            if algorithm == "sha256" and ((size and length != int(size)) or _record_digest(file) != expected):
                return file
        except (OSError, ValueError):
            return file
    return None


def _record_digest(file: Path) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(file_sha256(file))).rstrip(b"=").decode()


def _known_or_found(home: Path, front: FrontEnd) -> tuple[Manifest, bool]:
    """The manifest and True, or one made anew from what is there when the file is damaged or gone, and False.

    Raises:
        InstallError: nothing is installed, or a newer version did it.
    """
    path = Manifest(home).path
    if path.exists():
        try:
            return Manifest.load(home), True
        except InstallError:
            if Manifest.is_newer(state.read_json(path)):
                raise
    folder = environment.folder_in(home)
    record = state.read_json(paths.install_record())
    if not path.exists() and not record and not (folder / "pyvenv.cfg").is_file():
        raise InstallError("SAMA is not installed, so there is nothing to repair. Run this again without --repair.")
    what = "damaged" if path.exists() else "missing"
    front.tell(Note(f"{path} is {what} and is made anew from what is there.", warning=True))
    manifest = Manifest(home)
    manifest.add_folder(home)
    python = environment.python_in(folder)
    if (folder / "pyvenv.cfg").is_file():
        manifest.environment = Environment(str(python), made=True, source=_UNKNOWN)
    elif record and isinstance(record.get("python"), str):
        manifest.environment = Environment(record["python"], made=False, source="")
    return manifest, False
