"""The installer's events as the window gets them: read from the lines that its child process writes.

The one module that knows how `install.py --json` writes (see `installer.events`).
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from installer import events
from installer.events import Event, GimpSeen, ModelOffer, WeightFile

_KINDS = {kind.kind: kind for kind in Event.__subclasses__()}
#: The fields that hold several things, and what these are; None for texts.
_PARTS: dict[str, type | None] = {
    "gimps": GimpSeen,
    "models": ModelOffer,
    "weights": WeightFile,
    "steps": None,
    "places": None,
}

AGREE = {"agree": True}
STOP = {"stop": True}


def event_in(line: str) -> Event | None:
    """The event in a line of the installer's, or None for a line, or a kind of event, that is not known here."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    kind = _KINDS.get(data.get("event", "")) if isinstance(data, dict) else None
    if kind is None:
        return None
    try:
        for field, part in _PARTS.items():
            if field in data:
                data[field] = tuple(_made(part, item) if part else item for item in data[field])
        return _made(kind, data)
    except TypeError:
        # A field that was added to this kind is missing: told by another version of the installer.
        return None


def step_title(step: str) -> str:
    """What a person reads for a step; a step that is not known here is shown by its name."""
    return events.STEPS.get(step, step.replace("_", " ").capitalize())


def _made(kind: type, data: dict[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})
