"""The journal of an installation under way: which step it is at, for the run that comes after one that was cut off.

It is there from the first change to the last. What was made is in the manifest; that the engine may be started is in
the install record, which is absent while the engine is being changed. A run that finds a journal therefore knows that
the one before it came to no end, neither well nor badly.
"""

from __future__ import annotations

from pathlib import Path

from installer import private_json
from installer.events import STEPS

_SCHEMA = 1


def path_in(home: Path) -> Path:
    """Where the journal is while there is one."""
    return home / "journal.json"


def note(home: Path, step: str) -> None:
    """Note that `step` begins; `home` must exist.

    Raises:
        InstallError: it cannot be written.
    """
    private_json.write(path_in(home), {"schema": _SCHEMA, "step": step})


def cut_off_at(home: Path) -> str | None:
    """The title of the step at which an earlier run was cut off, or None when none was."""
    if not path_in(home).exists():
        return None
    step = (private_json.read(path_in(home)) or {}).get("step")
    return STEPS.get(str(step), "a step that is not known")


def close(home: Path) -> None:
    """The installation has come to an end, of one kind or the other."""
    path_in(home).unlink(missing_ok=True)
