"""Build what is published: the wheel, the sdist, and the archive that people download, unpack and start.

usage: build.py FOLDER        (made if missing; what it holds under the same names is replaced)

The archive is the same, byte for byte, whenever it is built from the same files with the same setuptools and zlib.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from installer import package
from sama_core import __version__

ROOT = package.ROOT
STARTERS = ROOT / "release" / "starters"
#: The time of everything in the archives: the first that a zip can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_TIME_IN_SECONDS = "315532800"
_BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2])"


def main(folder: Path) -> int:
    """Build all three into `folder` and print their names."""
    os.umask(0o022)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sama-release-") as name:
        built = build_packages(Path(name))
        for file in built:
            shutil.copyfile(file, folder / file.name)
    wheel = next(file for file in built if file.suffix == ".whl")
    archive = folder / f"sama-gimp-{__version__}.zip"
    write_archive(archive, contents(folder / wheel.name))
    for file in (*(folder / file.name for file in built), archive):
        print(f"{file}  {file.stat().st_size / 1e6:.1f} MB")
    return 0


def build_packages(work: Path) -> list[Path]:
    """Build wheel and sdist inside `work`, from a copy: setuptools leaves its own files where it builds."""
    source, built = work / "source", work / "built"
    package.copy_to_build(ROOT, source)
    built.mkdir()
    for what in ("sdist", "wheel"):
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, what, str(built)],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": _TIME_IN_SECONDS},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"The {what} could not be built:\n{done.stdout}{done.stderr}")
    return sorted(built.iterdir())


def contents(wheel: Path) -> dict[str, Path]:
    """What goes into the archive: the names there, and the files here."""
    files = {file.name: file for file in STARTERS.iterdir()}
    for name in ("LICENSE", "requirements.lock"):
        files[name] = ROOT / name
    # The photo is what the installer tries the engine on.
    for folder in ("installer", "gimp_plugin", "demo/photos"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                files[file.relative_to(ROOT).as_posix()] = file
    for pattern in ("*.md", "pictures/installer-*.png"):
        for page in (ROOT / "docs").glob(pattern):
            files[page.relative_to(ROOT).as_posix()] = page
    files[f"wheels/{wheel.name}"] = wheel
    return files


def write_archive(archive: Path, files: dict[str, Path]) -> None:
    """Write a zip that unpacks to one folder of its own name; run bits are kept, times are not."""
    draft = archive.with_name(archive.name + ".new")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as content:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{archive.stem}/{name}", _TIME)
            entry.create_system = 3
            mode = 0o755 if files[name].stat().st_mode & stat.S_IXUSR else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            content.writestr(entry, _content(files[name]))
    draft.replace(archive)


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    # Windows' command interpreter loses its way in scripts with other line ends.
    return content.replace(b"\n", b"\r\n") if file.suffix == ".bat" else content


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
