"""A real file system of a few megabytes, for faults of disks: full, read-only. Needs no root, only user namespaces.

The tests in real GIMP need those too, where they are not run by root.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

_HOLD = """
mount -t tmpfs -o size=$2,mode=700 none "$1"
echo mounted
exec sleep 600
"""


class SmallDisk:
    """A tmpfs over `folder`, seen only by commands that begin with `prefix`."""

    def __init__(self, folder: Path, size: int) -> None:
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", _HOLD, "sh", str(folder), str(size)]
        self._holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout and self._holder.stdout.readline() == "mounted\n", "no tmpfs: see above"
        self.path = folder
        pid = str(self._holder.pid)
        self.prefix = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", pid, "--"]
        #: the folder as those commands see it
        self.inside = Path(f"/proc/{pid}/root{folder.resolve()}")

    def fill(self) -> None:
        """Leave no room at all, whoever else may be writing."""
        with (self.inside / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(65536)):
                pass
        assert shutil.disk_usage(self.inside).free == 0

    def make_room(self) -> None:
        """Undo `fill`."""
        (self.inside / "filler").unlink()

    def remount(self, mode: str) -> None:
        """Make it read-only ("ro") or writable again ("rw")."""
        subprocess.run([*self.prefix, "mount", "-o", f"remount,{mode}", str(self.path)], check=True)

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout
        self._holder.stdout.close()
