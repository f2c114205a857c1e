"""What GIMP itself writes of SAMA into its settings folder, and taking that away again.

    plug-in-settings/   the last values of each dialog
    action-history      the commands that were used, for its search of commands
    shortcutsrc         every command with its keys, in a comment when it has none

GIMP would keep the first two for good. It drops SAMA from pluginrc, its list of plug-ins, at its next start, and from
shortcutsrc when it is closed after that. A GIMP that runs meanwhile writes its lists anew when it is closed.
"""

from __future__ import annotations

import re
from pathlib import Path

from installer import plugin_files
from installer.state import remove_if_empty

_LISTS = ("action-history", "shortcutsrc")
_NAMES = b"|".join(re.escape(name.encode()) for name in plugin_files.PROCEDURES)
#: GIMP writes one entry a line in both lists.
_ENTRY = re.compile(rb'^(?:# )?\((?:history-item|action) "(?:' + _NAMES + rb')"[^\n]*\)\r?\n', re.MULTILINE)


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
        rest = _ENTRY.sub(b"", known)
        if rest != known:
            draft = file.with_name(f".{file.name}.sama")
            try:
                draft.write_bytes(rest)
                draft.chmod(file.stat().st_mode & 0o777)
                draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)


def _forget_values(folder: Path) -> None:
    for procedure in plugin_files.PROCEDURES:
        # GIMP puts the kind of what it keeps before the name: GimpProcedureConfigRun-plug-in-….last
        for file in folder.glob(f"Gimp*-{procedure}.*"):
            file.unlink(missing_ok=True)
    remove_if_empty(folder)
