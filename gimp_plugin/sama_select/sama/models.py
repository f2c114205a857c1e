"""Which models there are to choose from, found out without waiting. No GIMP in here."""

from __future__ import annotations

import re
from typing import List

from . import paths, state
from .client import Client, EngineGone, HelloFailed

#: The model that comes with the engine.
BUNDLED = "lite"
#: How long a running engine may take to tell, in seconds: a dialog is about to open.
_PATIENCE = 1
#: Meta's own names for the weights of SAM and of SAM 2.1; without “hiera” the parts that matter are the model's name.
_SAM_FILE = re.compile(r"sam_(vit_[a-z]+)_[0-9a-f]+\.pth|(sam2\.1_)hiera_([a-z_]+)\.pt")
_MOST_MODELS, _LONGEST_NAME = 50, 60


def names() -> List[str]:
    """Return the names of the models whose weights are there, as the running engine tells; never empty.

    While no engine runs, what lies in its folder of weights is asked instead.
    """
    found = state.read() if state.engine_lives() else None
    if found is not None:
        try:
            described = Client(found.port, found.token).hello(_PATIENCE)
        except (EngineGone, HelloFailed):
            described = {}
        told = described.get("installed", described.get("models"))
        if isinstance(told, list):
            found = [name for name in told if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME]
            if found:
                return found[:_MOST_MODELS]
    try:
        files = sorted(file.name for file in paths.weights_folder().iterdir())
    except OSError:
        files = []
    matches = (_SAM_FILE.fullmatch(name) for name in files)
    return [BUNDLED, *("".join(part or "" for part in match.groups()) for match in matches if match)]
