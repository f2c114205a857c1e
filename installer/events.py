"""What an installation tells while it runs. docs/installer-events.md has the order of events, and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

#: All steps in their order, with what a person reads. `Planned.steps` names those that this run takes; the last three
#: are a removal's.
STEPS: dict[str, str] = {
    "look": "Look at this computer",
    "profiles": "Let GIMP make its settings folder",
    "environment": "Make the engine's environment",
    "download": "Download the engine",
    "engine": "Install the engine",
    "plug_in": "Put the plug-in into GIMP",
    "record": "Note how the engine is started",
    "models": "Get the models",
    "check": "Try everything out",
    "end_engine": "End the engine",
    "remove": "Remove the engine and what it wrote",
    "take_out": "Take the plug-in out of GIMP",
}


class InstallError(Exception):
    """The installation cannot go on. `str(error)` tells the user what happened and what to do."""


def sentence(error: BaseException) -> str:
    """What to tell a person of an error."""
    if isinstance(error, OSError):
        return f"{error}. Correct that and run this again."
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "Stopped."
    return str(error) or type(error).__name__


@dataclass(frozen=True)
class Event:
    """Something that happened. `kind` names the class in JSON."""

    kind: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """The event as plain JSON types, with `event` for its kind."""
        return {"event": self.kind, **asdict(self)}


@dataclass(frozen=True)
class GimpSeen:
    """A GIMP, or a GIMP's settings folder, as the plan shows it.

    Attributes:
        name: for example "GIMP 3.0.4"; without a version when only the settings folder was found.
        packaging: as `sama_core.gimp` names it, or "" when the program was not found.
        program: the program's place, or "".
        folder: where the plug-in goes, or "" when it goes nowhere; GIMPs of one series share a folder.
        action: "install", "keep" (it is there, and current) or "skip".
        note: why it may not work there or what to know, whole sentences; "" when nothing is known against it.
    """

    name: str
    packaging: str
    program: str
    folder: str
    action: str
    note: str


@dataclass(frozen=True)
class ModelOffer:
    """A model that can be downloaded.

    Attributes:
        name: as `sama weights` and `--model` know it.
        title: as a person reads it.
        summary: what it is, without a full stop.
        size: of its file, in bytes.
        missing: what of these is not here yet; 0 when the model is, or comes with SAMA.
        licence: of the file.
        needs: what a computer needs for it, in words.
    """

    name: str
    title: str
    summary: str
    size: int
    missing: int
    licence: str
    needs: str


@dataclass(frozen=True)
class Planned(Event):
    """All that is going to be done. Nothing has been changed when this is told.

    Attributes:
        version: of SAMA.
        home: SAMA_HOME.
        gimps: every GIMP found.
        engine: "make" an environment, "update" or "keep" the one there is, or "use" the one that was named.
        python: the interpreter that the environment is made with, or that is used; "" otherwise.
        accelerator: what the engine will compute with, in words.
        torch: the chosen build of PyTorch: "cpu", "cuda", "rocm" or "default"; "" when none is downloaded.
        download_bytes: about how much is downloaded; 0 for nothing.
        kept_bytes: about how much disk the engine takes in the end.
        needed_bytes: free disk space that is insisted on, and `free_bytes` what there is.
        measured: the three sizes were measured with this build; else they are estimates.
        steps: the names of the steps to come, in order, keys of `STEPS`; only "check", or none, when all is there.
        models: larger models to choose from, none of them here; empty where nobody is asked.
    """

    kind = "planned"
    version: str
    home: str
    gimps: tuple[GimpSeen, ...]
    engine: str
    python: str
    accelerator: str
    torch: str
    download_bytes: int
    kept_bytes: int
    needed_bytes: int
    free_bytes: int
    measured: bool
    steps: tuple[str, ...]
    models: tuple[ModelOffer, ...] = ()

    @property
    def lacks_space(self) -> bool:
        """Whether the disk is too full."""
        return self.free_bytes < self.needed_bytes


@dataclass(frozen=True)
class WeightFile:
    """A file in the folder of models: its name, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class RemovalPlanned(Event):
    """All that is going to be removed. Nothing has been changed when this is told.

    Attributes:
        home: SAMA_HOME.
        places: the folders that go, those of the plug-in first; without that of the models unless it goes for sure.
        weights_folder: where the models are.
        weights: the models there; empty when there are none.
        weights_fate: what becomes of them: "remove", "keep", or "ask" when that is to be asked.
        steps: the names of the steps to come, in order, keys of `STEPS`.
    """

    kind = "removal_planned"
    home: str
    places: tuple[str, ...]
    weights_folder: str
    weights: tuple[WeightFile, ...]
    weights_fate: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepStarted(Event):
    """A step begins.

    Attributes:
        step: a key of `STEPS`; `title` is its text.
        number: 1 for the first step of this run, of `count`; 0 of 0 for "look", before they are known.
    """

    kind = "step_started"
    step: str
    title: str
    number: int
    count: int


@dataclass(frozen=True)
class Progress(Event):
    """How far a step is.

    Attributes:
        done: bytes so far, with those kept from an earlier run.
        total: bytes in all, or None when not known.
        text: what is being worked on, for example a file's name.
    """

    kind = "progress"
    step: str
    done: int
    total: int | None
    text: str


@dataclass(frozen=True)
class StepDone(Event):
    """A step is done."""

    kind = "step_done"
    step: str


@dataclass(frozen=True)
class StepFailed(Event):
    """A step failed; `message` says what happened and what to do."""

    kind = "step_failed"
    step: str
    message: str


@dataclass(frozen=True)
class Note(Event):
    """Something worth knowing; with `warning`, something that may go wrong later."""

    kind = "note"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Log(Event):
    """A line that a program said while it worked for a step; of interest only when the step fails."""

    kind = "log"
    step: str
    text: str


@dataclass(frozen=True)
class Finding(Event):
    """What trying out one thing gave.

    Attributes:
        subject: "Engine", or a GIMP's name.
        ok: None when it could not be tried.
        text: what was found, with a remedy when it is not well.
        picture: the file of a picture that shows the result, or "".
    """

    kind = "finding"
    subject: str
    ok: bool | None
    text: str
    picture: str = ""


@dataclass(frozen=True)
class TakingBack(Event):
    """What this run has made is being taken away again."""

    kind = "taking_back"


@dataclass(frozen=True)
class Finished(Event):
    """The end.

    Attributes:
        status: what the installer exits with: 0 installed (or nothing to do) and working, or removed, 1 not,
            130 stopped.
        changed: something is different from before.
        message: what to tell the person: where the menu entries are, or what went wrong and the remedy.
        missing: the models that could not be had, each with the reason; the rest is done.
    """

    kind = "finished"
    status: int
    changed: bool
    message: str
    missing: dict[str, str] = field(default_factory=dict)
