"""The few kinds of failure a user can meet. Every message is one sentence of what happened and one of what to do."""

from __future__ import annotations


class SamaError(Exception):
    """Base class. `str(error)` is meant for the user: it reaches the command line, HTTP and GIMP unchanged."""

    #: stable name on the wire
    code = "error"
    #: HTTP status of the engine's answer
    status = 500


class InvalidPrompt(SamaError):
    """The clicks, box or mask cannot be used with this image."""

    code = "invalid_prompt"
    status = 422


class InvalidImage(SamaError):
    """The picture cannot be read, is empty, or is larger than the engine accepts."""

    code = "invalid_image"
    status = 422


class UnknownImage(SamaError):
    """The engine does not hold this image (any more); send its pixels again."""

    code = "unknown_image"
    status = 404


class WeightsError(SamaError):
    """A weight file is missing, truncated, altered or made for another model."""

    code = "weights"
    status = 500


class DeviceError(SamaError):
    """The requested device does not exist here, or no device had enough memory."""

    code = "device"
    status = 500


class Cancelled(SamaError):
    """The client went away or asked to stop."""

    code = "cancelled"
    status = 499


class EngineUnavailable(SamaError):
    """No engine process answers and none could be started."""

    code = "engine_unavailable"
    status = 503


class DatasetError(SamaError):
    """A data folder is not laid out as expected, or photos and their masks or mattes do not match up."""

    code = "dataset"
    status = 422


class ConfigError(SamaError):
    """A config file cannot be read, names an unknown setting or gives one a value of the wrong type."""

    code = "config"
    status = 422


class BatchError(SamaError):
    """A batch's folders, its prompts' file or its settings cannot be used as they are."""

    code = "batch"
    status = 422


class BatchStopped(SamaError):
    """A whole batch cannot go on: no model, no worker, a full disk. What is done is kept."""

    code = "batch_stopped"
    status = 500
