"""Somebody who is not root: an empty home, a real GIMP, and nothing on the PATH but that."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox import GimpInstallation
from sandbox.installation import ENTER
from sandbox.installation import PATH as SYSTEM_PATH
from throwaway_machine import INSTALL, Machine

#: nobody, on every Linux.
_NOBODY = "65534"


class OrdinaryUser(Machine):
    """A machine whose user runs the installer and GIMP with no rights over anything but a home folder.

    Attributes:
        python: a Python with the engine that can be run from inside GIMP's tree and from outside.
    """

    def __init__(self, gimp: GimpInstallation) -> None:
        # Not pytest's own folder, which only its owner may look into; and short, for it becomes part of sockets' names.
        super().__init__(Path(tempfile.mkdtemp(prefix="sama-user-", dir="/tmp")))
        self.folder.chmod(0o755)
        self.gimp = gimp
        self.series = ".".join(gimp.version.split(".")[:2])
        self.profile = self.config / self.series
        self.python = self._make_program("python-with-engine", _ENGINE_PYTHON.format(python=sys.executable))
        inside = [str(ENTER), str(gimp.tree), str(self.folder), gimp.console]
        shell = f'PATH={SYSTEM_PATH}\nexport PATH\nexec unshare --map-root-user --mount sh {shlex.join(inside)} "$@"\n'
        if gimp.tree is None:
            shell = f'exec {shlex.quote(str(shutil.which(gimp.console)))} "$@"\n'
        self._make_program(f"gimp-console-{self.series}", "#!/bin/sh\n" + shell)
        numba_cache = self.folder / "numba"
        _copy_compiled_loops(numba_cache)
        self.variables.update({"NUMBA_CACHE_DIR": str(numba_cache), "OMP_NUM_THREADS": "1"})
        self._become = self._way_to_drop_rights()

    def command(self, *options: str | Path, installer: Path = INSTALL) -> list[str]:
        return [*self._become, *super().command(*options, installer=installer)]

    def run_gimp(self, code: str) -> str:
        """Run Python in this user's GIMP, as started by the user; return what it printed, insist on success."""
        script = self.folder / "snippet.py"
        script.write_text(code, encoding="utf-8")
        program = self.programs / f"gimp-console-{self.series}"
        batch = ["--batch-interpreter", "python-fu-eval", "-b", f"exec(open({str(script)!r}).read())"]
        done = subprocess.run(
            [*self._become, str(program), "--no-data", "--no-fonts", "--quit", *batch],
            env=self.variables,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def user_id(self) -> int:
        """The user's own idea of who it is."""
        return int(
            subprocess.run([*self._become, "/usr/bin/id", "-u"], capture_output=True, text=True, check=True).stdout
        )

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _make_program(self, name: str, text: str) -> Path:
        program = self.programs / name
        program.write_text(text)
        program.chmod(0o755)
        return program

    def _way_to_drop_rights(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        nobody = [_tool("setpriv"), f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        # Where the project or its Python lies in a folder that only root may look into, nobody can run it: then a
        # user of a namespace, who owns root's files there but has none of root's powers.
        namespace = [_tool("unshare"), "--map-user=1000", "--map-group=1000"]
        _give_away(self.folder, int(_NOBODY))
        check = ["/bin/sh", "-c", '"$0" -c "import sama_core.paths" && test -r "$1"', sys.executable, str(INSTALL)]
        if subprocess.run([*nobody, *check], capture_output=True, cwd="/").returncode == 0:
            return nobody
        _give_away(self.folder, 0)
        subprocess.run([*namespace, *check], check=True, cwd="/")
        return namespace


#: GIMP's tree has the machine's own root at /host; see tests/gimp/sandbox/enter.sh.
_ENGINE_PYTHON = """#!/bin/sh
if [ -x /host/usr/sbin/chroot ]; then exec /usr/sbin/chroot /host "{python}" "$@"; fi
exec "{python}" "$@"
"""


def _tool(name: str) -> str:
    # The user's own PATH has nothing on it but a GIMP.
    found = shutil.which(name, path=SYSTEM_PATH)
    assert found, f"{name} is missing; the package util-linux has it"
    return found


def _give_away(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def _copy_compiled_loops(cache: Path) -> None:
    """Copy what numba compiled of PyMatting for root, which no other user may add to; it would take a minute again."""
    found = importlib.util.find_spec("pymatting")
    assert found and found.origin
    for file in Path(found.origin).parent.rglob("__pycache__/*.nb[ci]"):
        source = str(file.parent.parent)
        # As numba names the folders in NUMBA_CACHE_DIR. Under another name they would be passed over, not wrong.
        folder = cache / f"{file.parent.parent.name}_{hashlib.sha1(source.encode()).hexdigest()}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, folder)
