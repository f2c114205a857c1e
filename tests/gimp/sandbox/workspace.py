"""One throw-away set of folders for running GIMP: nothing of the user's is read or written."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.installation import PATH, GimpInstallation

ROOT = Path(__file__).resolve().parents[3]
#: Where the logs of every run are kept.
LOGS = ROOT / "build" / "logs"
VERSION = "0.1.0"
#: What may pass from the caller's environment: settings of number libraries, and which device the engine
#: uses.
PASSED_ON = ("SAMA_DEVICE", "OPENBLAS_", "OMP_", "MKL_", "CUDA_", "NVIDIA_")


class Workspace:
    """Folders of one run, at the same absolute paths for GIMP and for the machine outside of its tree.

    Attributes:
        gimp: the installation it is for.
        folder: the run's own folder, 0700.
        files: for pictures that go in and come out.
        profile: GIMP's profile (`GIMP3_DIRECTORY`), with `plug-ins/`.
        sama_home: `SAMA_HOME`.
    """

    def __init__(self, gimp: GimpInstallation, plug_ins: Iterable[Path] = ()) -> None:
        """Make the folders, with `plug_ins` (folders) copied into the profile, run bits and all.

        Raises:
            FileNotFoundError: one of `plug_ins` holds no plug-in.
        """
        self.gimp = gimp
        plug_ins = list(plug_ins)
        for plug_in in plug_ins:
            # Before there is anything to clean up.
            if not (plug_in / f"{plug_in.name}.py").is_file():
                raise FileNotFoundError(f"There is no plug-in in {plug_in}: {plug_in.name}.py is missing.")
        # Unix sockets live in here: their paths must stay short, and a private TMPDIR may be long.
        short = tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp"
        self.folder = Path(tempfile.mkdtemp(prefix="sama-gimp-", dir=short)).resolve()
        self.files = self._make("files")
        self.home = self._make("home")
        self.temporary = self._make("tmp")
        self.profile = self._make("profile")
        self.sama_home = self._make("sama")
        (self.profile / "gimprc").write_text(
            # Without config-version GIMP takes the profile for a new user's and covers everything with its
            # welcome.
            f'(config-version "{gimp.version}")\n(show-welcome-dialog no)\n(check-updates no)\n'
            "(save-session-info no)\n(undo-levels 20)\n"
        )
        for plug_in in plug_ins:
            target = self.profile / "plug-ins" / plug_in.name
            shutil.copytree(plug_in, target, ignore=shutil.ignore_patterns("__pycache__"))

    def _make(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        return folder

    def record_engine(self, python: Path, args: Iterable[str] = ("-m", "sama_core.service")) -> Path:
        """Write SAMA_HOME/install.json so that the plug-in starts the engine with the machine's `python`.

        From inside a private tree that takes a step out first, made by a small program in the work folder.

        Returns:
            The program named in install.json.
        """
        command = python.absolute()
        if self.gimp.tree is not None:
            shim = self.folder / "host-python"
            shim.write_text(f'#!/bin/sh\nexec /usr/sbin/chroot /host "{command}" "$@"\n')
            shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
            command = shim
        record = {"schema": 1, "python": str(command), "args": list(args), "version": VERSION}
        (self.sama_home / "install.json").write_text(json.dumps(record))
        return command

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a program in this workspace."""
        passed = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
        return {
            **passed,
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "GIMP3_DIRECTORY": str(self.profile),
            "SAMA_HOME": str(self.sama_home),
            "SAMA_IDLE_SECONDS": "300",
            "NO_AT_BRIDGE": "1",
            "GSETTINGS_BACKEND": "memory",
            **(extra or {}),
        }

    def remove(self, name: str = "gimp") -> None:
        """Delete the folders; the engine's log is kept as `build/logs/NAME-engine.log`."""
        log = self.sama_home / "logs" / "engine.log"
        if log.is_file():
            LOGS.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, LOGS / f"{name}-engine.log")
        shutil.rmtree(self.folder, ignore_errors=True)
