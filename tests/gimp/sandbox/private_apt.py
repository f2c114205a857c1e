"""apt with a state of its own: downloads packages and all that they need, as any user, installing nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import IO

from sandbox import apt_sources


def download(
    state: Path, suite: str, packages: tuple[str, ...], output: IO[str], installed: Path | None = None
) -> list[Path]:
    """Download `packages` and all that they depend on.

    Args:
        state: a folder for apt's state, made anew; the packages come to lie in it.
        suite: Debian's name of the release.
        packages: their names.
        output: where apt's own output goes.
        installed: dpkg's list of what is there already and need not be downloaded, or None for nothing at all.

    Raises:
        NoMirror: this machine's apt knows no Debian mirror.
        subprocess.CalledProcessError: apt failed.
    """
    shutil.rmtree(state, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").write_bytes(installed.read_bytes() if installed else b"")
    keyring = apt_sources.DEBIAN_KEYRING
    signed_by = f"[signed-by={keyring}] " if keyring.exists() else ""
    (state / "sources.list").write_text(f"deb {signed_by}{apt_sources.debian_mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        # A machine whose clock runs ahead of the mirror's last refresh would call its Release file expired.
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-y", *(f"-o{key}={value}" for key, value in settings.items())]
    for command in (["update"], ["--download-only", "install", *packages]):
        subprocess.run([*apt, *command], stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=True, cwd="/")
    return sorted((state / "cache" / "archives").glob("*.deb"))
