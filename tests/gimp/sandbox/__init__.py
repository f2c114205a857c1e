"""Real GIMP 3 for tests and the demo, on a machine that may have none.

`find_gimp()` gives the system's GIMP 3, or a private Debian tree with GIMP 3.0 or 3.2 made once and cached
(`tree.py`). A `Workspace` is one throw-away set of folders (GIMP profile, HOME, TMPDIR, SAMA_HOME); a
`GimpSession` is one running GIMP in it that takes Python snippets. Standard library only: it has to work
before the project's environment exists.
"""

from sandbox import engine_process
from sandbox.apt_sources import NoMirror
from sandbox.installation import GimpInstallation, GimpNotFound, find_gimp
from sandbox.session import GimpError, GimpSession
from sandbox.workspace import Workspace

__all__ = [
    "GimpError",
    "GimpInstallation",
    "GimpNotFound",
    "GimpSession",
    "NoMirror",
    "Workspace",
    "engine_process",
    "find_gimp",
]
