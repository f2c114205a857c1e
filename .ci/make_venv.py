"""Make a virtual environment with pip in it, on a Debian whose python3-venv may be missing, as root or not.

usage: make_venv.py FOLDER        (the Python that runs this becomes the environment's)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "gimp"))
from sandbox import NoMirror, private_apt

#: pip is pure Python, so that any release's package of it will do.
SUITE = "trixie"


def main(folder: Path) -> int:
    """Return 0 when the environment is there and has pip."""
    if has_pip(folder):
        return 0
    if make_with_pip(folder):
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        package = f"python3.{sys.version_info.minor}-venv"
        print(f"This Python cannot make environments with pip: installing {package}.", flush=True)
        apt = ["apt-get", "-y", "-q", "--no-install-recommends"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*apt, "update"], [*apt, "install", package]):
            subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False)
        if make_with_pip(folder):
            return 0
    return make_with_unpacked_pip(folder)


def has_pip(folder: Path) -> bool:
    """Say whether `folder` is an environment that works."""
    python = folder / "bin" / "python"
    return python.exists() and run([str(python), "-m", "pip", "--version"]) == 0


def make_with_pip(folder: Path) -> bool:
    """Make it the ordinary way."""
    return run([sys.executable, "-m", "venv", "--clear", str(folder)]) == 0 and has_pip(folder)


def make_with_unpacked_pip(folder: Path) -> int:
    """Make it without pip, then install pip from Debian's wheel of it, which needs no root."""
    print("This Python cannot make environments with pip: unpacking Debian's wheel of pip.", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], check=True)
    unpacked = (folder / "pip-wheel").absolute()
    unpacked.mkdir()
    try:
        with (unpacked / "log").open("w") as log:
            packages = private_apt.download(unpacked / "apt", SUITE, ("python3-pip-whl",), log)
    except (NoMirror, subprocess.CalledProcessError) as error:
        print(f"error: pip cannot be had ({error}). Install python3-venv and run this again.", file=sys.stderr)
        return 1
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", str(package), str(unpacked)], check=True)
    wheel = next(unpacked.glob("usr/share/python-wheels/pip-*.whl"))
    python = str(folder / "bin" / "python")
    # pip can be run from inside its own wheel.
    subprocess.run([python, str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel)], check=True)
    shutil.rmtree(unpacked)
    return 0 if has_pip(folder) else 1


def run(command: list[str]) -> int:
    """Return the command's exit status; its output is of no interest."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
