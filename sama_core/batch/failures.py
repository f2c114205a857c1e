"""What stops a whole batch. What is wrong with one photo does not: that goes into the report."""

from __future__ import annotations

from sama_core.errors import SamaError


class BatchError(SamaError):
    """The folders, the prompts' file or the settings cannot be used as they are."""

    code = "batch"
    status = 422


class BatchStopped(SamaError):
    """The work cannot go on: no model, no worker, a full disk. What is done is kept."""

    code = "batch_stopped"
    status = 500
