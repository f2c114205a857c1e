"""The environment that the installer's own child processes get."""

from __future__ import annotations

import os

#: A person's own settings for one Python or one pip must not leak into the engine's environment.
_DROPPED = (
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
    "CONDA_PREFIX",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_REQUIRE_VIRTUALENV",
)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without `PYTHON*` and what else changes which modules are found."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
