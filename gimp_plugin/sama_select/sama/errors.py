"""The two ways a run can fail, as GIMP tells them apart.

Every text is one sentence of what happened and one of what to do.
"""

from __future__ import annotations


class PluginError(Exception):
    """Base class; `str(error)` is shown to the user unchanged."""


class CallingError(PluginError):
    """The request cannot be carried out as it stands; nothing was changed (PDB status CALLING_ERROR)."""


class ExecutionError(PluginError):
    """The request was fine but the work failed; nothing was changed (PDB status EXECUTION_ERROR)."""
