"""A private Debian folder tree with GIMP 3.0 or 3.2 and what drives its windows, made once and kept.

Two ways to make it: mmdebstrap for root, a real installation; for anybody else apt with a state of its own
downloads the packages, `dpkg-deb` unpacks them, and `unprivileged.sh` does the few post-install steps that
GIMP needs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from sandbox import apt_sources, private_apt

CACHE = Path(__file__).resolve().parents[3] / ".cache"
#: Debian's release that has a series of GIMP.
SUITES = {"3.0": "trixie", "3.2": "forky"}
PACKAGES = ("gimp", "gir1.2-gimp-3.0", "python3-gi", "xvfb", "xdotool", "openbox", "fonts-dejavu-core")
#: Packages that every Debian has and that apt therefore takes for granted; the unpacked tree must be given
#: them.
ESSENTIAL = (
    *(
        "base-files",
        "base-passwd",
        "bash",
        "coreutils",
        "dash",
        "findutils",
        "grep",
        "libc-bin",
        "mawk",
        "sed",
        "tar",
    ),
    *("util-linux", "shared-mime-info", "libgdk-pixbuf2.0-bin", "libglib2.0-bin", "fontconfig", "procps"),
)
#: Part of the stamp: raise it when a tree made by older code will not do any more.
RECIPE = "1"
UNPRIVILEGED = Path(__file__).with_name("unprivileged.sh")


class TreeError(Exception):
    """The tree could not be made."""


def place(series: str) -> Path:
    """Where the tree with that series of GIMP is kept."""
    return CACHE / f"gimp-{SUITES[series]}"


def ensure(tree: Path, series: str) -> None:
    """Make the tree at `tree` unless it is there and complete. Safe against other processes doing the same.

    Args:
        series: of GIMP, a key of `SUITES`.

    Raises:
        TreeError: with the reason and a remedy; nothing is left at `tree` then.
    """
    stamp = tree / "etc" / "sama-gimp-tree"
    if _stamped(stamp):
        return
    if tree.exists() and not stamp.exists() and any(tree.glob("usr/bin/gimp-console-3.*")):
        # Somebody's own tree, made by other means and named by SAMA_GIMP_TREE: use it, never delete it.
        return
    tree.parent.mkdir(parents=True, exist_ok=True)
    with (tree.parent / f"{tree.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamped(stamp):
            return
        building = tree.parent / f"{tree.name}.building"
        _remove(building)
        building.mkdir()
        log = tree.parent / f"{tree.name}.log"
        print(
            f"Making a private GIMP {series} in {tree} (once; about a minute, 700 MB). Log: {log}",
            file=sys.stderr,
            flush=True,
        )
        try:
            with log.open("w") as output:
                _build(building, SUITES[series], output)
            if not any(building.glob("usr/bin/gimp-console-3.*")):
                raise TreeError(f"The packages held no gimp-console-3. See {log}.")
        except subprocess.CalledProcessError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise TreeError(
                f"The private GIMP 3 could not be made: {error.cmd[0]} ended with {error.returncode}. "
                f"Look at {log} and run this again. Its last lines:\n{tail}"
            ) from error
        except apt_sources.NoMirror as error:
            raise TreeError(str(error)) from error
        (building / "etc" / "sama-gimp-tree").write_text(RECIPE + "\n")
        # An older recipe's tree, or a half one.
        _remove(tree)
        building.rename(tree)


def _stamped(stamp: Path) -> bool:
    return stamp.is_file() and stamp.read_text().strip() == RECIPE


def _remove(folder: Path) -> None:
    if folder.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def _build(building: Path, suite: str, output: IO[str]) -> None:
    if os.geteuid() == 0 and _have_mmdebstrap(output):
        _mmdebstrap(building, suite, output)
    else:
        _unpack(building, suite, output)


def _have_mmdebstrap(output: IO[str]) -> bool:
    if shutil.which("mmdebstrap"):
        return True
    apt = ["apt-get", "-y", "--no-install-recommends"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*apt, "update"], [*apt, "install", "mmdebstrap"]):
        subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, check=False)
    return shutil.which("mmdebstrap") is not None


def _mmdebstrap(building: Path, suite: str, output: IO[str]) -> None:
    # A machine whose clock runs ahead of the mirror's last refresh would call its Release file expired.
    options = ['--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=APT::Install-Recommends "false"']
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    if apt_sources.DEBIAN_KEYRING.exists():
        options.append(f"--keyring={apt_sources.DEBIAN_KEYRING}")
    command = ["mmdebstrap", "--variant=minbase", *options, f"--include={','.join(PACKAGES)}"]
    command += [suite, str(building), f"deb {apt_sources.debian_mirror()} {suite} main"]
    _run(*command, output=output)


def _unpack(building: Path, suite: str, output: IO[str]) -> None:
    state = building.with_name(building.name + "-apt")
    for package in private_apt.download(state, suite, PACKAGES + ESSENTIAL, output):
        _run("sh", str(UNPRIVILEGED), "unpack", str(package), str(building), output=output)
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    _run(*namespace, "sh", str(UNPRIVILEGED), "configure", str(building), output=output)
    _remove(state)


def _run(*command: str, output: IO[str]) -> None:
    subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=True, cwd="/")
