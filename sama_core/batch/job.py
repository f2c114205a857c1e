"""A batch: what is to be done, what is done already, and how an output gets its name.

Whoever works on the photos (`processes.py`, `ray_cluster.py`) writes drafts. Only this process gives them their names,
after a line in the journal, so that a batch which is stopped at any moment can go on. It replaces nothing but what a
batch made here and nobody changed since.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sama_core import __version__, files
from sama_core.batch.journal import Journal
from sama_core.batch.prompts_file import OWN_FOLDER, PhotoPrompt
from sama_core.batch.worker import Outcome, Task
from sama_core.errors import BatchError, BatchStopped
from sama_core.files import FileLock, file_sha256

REPORT = "report.json"
_PHOTOS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif", ".bmp", ".ppm"}


@dataclass(frozen=True)
class Line:
    """What became of one photo: “done”, “kept” (made by an earlier batch from the same) or “failed”."""

    photo: str
    output: str
    status: str
    error: str = ""
    score: float | None = None
    device: str = ""
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)


def model_version(model: str) -> dict[str, Any]:
    """Everything of SAMA that an output depends on.

    Raises:
        UnknownModel: there is none of that name.
    """
    from sama_core.images import PREPROCESSING_VERSION
    from sama_core.weights.registry import info

    about = info(model)
    adapter = file_sha256(about.adapter) if about.adapter.is_file() else ""
    return {
        "sama": __version__,
        "model": model,
        "weights": about.sha256,
        "adapter": adapter,
        "preprocessing": PREPROCESSING_VERSION,
    }


class Batch:
    """One run over a folder of photos. Use it as a context: that holds the lock on the folder of outputs.

    Args:
        folder: of the photos.
        prompts: what to do with them.
        beside: the folder that names of rough masks count from.
        out: for the outputs; made when it is not there, in a folder that is.
        version: what the outputs depend on besides photo and prompt, as JSON has it.
        force: make all of them again.
        tell: called with each photo's line as soon as it is known.

    Raises:
        BatchError: the folders cannot be used, the one for outputs cannot be written to, or another batch works there.
    """

    def __init__(
        self,
        folder: Path,
        prompts: list[PhotoPrompt],
        beside: Path,
        out: Path,
        version: dict[str, Any],
        force: bool = False,
        tell: Callable[[Line], None] = lambda line: None,
    ) -> None:
        if not folder.is_dir():
            raise BatchError(f"There is no folder {folder}. Give the folder of the photos.")
        if out.exists() and not out.is_dir():
            raise BatchError(f"{out} is a file. Give a folder for what is made.")
        if not out.absolute().parent.is_dir():
            raise BatchError(f"There is no folder {out.absolute().parent}. Make it first, or write elsewhere.")
        if out.is_dir() and out.samefile(folder):
            raise BatchError(f"{out} is the folder of the photos. Write into another one.")
        self._folder, self._prompts, self._beside, self._out = folder.resolve(), prompts, beside, out.resolve()
        self._version, self._force, self._tell = version, force, tell
        self._own = self._out / OWN_FOLDER
        self._drafts = self._own / "drafts"
        self.lines: list[Line] = []

    def __enter__(self) -> Batch:
        try:
            return self._enter()
        except OSError as error:
            raise BatchError(
                f"Nothing can be written into {self._out}: {error.strerror or error}. Choose another folder."
            ) from error

    def _enter(self) -> Batch:
        self._own.mkdir(parents=True, exist_ok=True)
        if not os.access(self._out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._out))
        self._lock = FileLock(self._own / "lock")
        if not self._lock.acquire():
            raise BatchError(f"Another batch is writing into {self._out}. Wait for it, or write elsewhere.")
        try:
            self._clear_drafts()
            self._drafts.mkdir(exist_ok=True)
            self._journal = Journal(self._own / "journal.jsonl")
        except BaseException:
            self._lock.release(remove=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clear_drafts()
        self._lock.release(remove=True)

    @property
    def total(self) -> int:
        """How many photos the batch has."""
        return len(self._prompts)

    def tasks(self) -> Iterator[Task]:
        """Yield what is to be done; of the rest, `tell` is called here."""
        for number, prompt in enumerate(self._prompts):
            photo = self._folder / prompt.photo
            mask = self._beside / prompt.mask if prompt.mask else None
            try:
                for path in (photo, *([mask] if mask else [])):
                    if not path.is_file():
                        raise _CannotBe(f"There is no file {path.name}. Check the name.")
                key = self._key(prompt, photo, mask)
                self._check_folder(prompt.output)
                if self._is_made(prompt.output, key) and not self._force:
                    self._add(Line(prompt.photo, prompt.output, "kept"))
                    continue
            except _CannotBe as error:
                self._add(Line(prompt.photo, prompt.output, "failed", str(error)))
                continue
            except OSError as error:
                self._add(Line(prompt.photo, prompt.output, "failed", _words(error)))
                continue
            draft = self._drafts / f"{number}-{secrets.token_hex(4)}{Path(prompt.output).suffix}"
            yield Task(str(photo), str(mask or ""), str(draft), key, prompt)

    def finish(self, outcome: Outcome) -> None:
        """Give an output its name.

        Raises:
            BatchStopped: it went wrong in a way that the other photos would meet too.
        """
        task, prompt = outcome.task, outcome.task.prompt
        error = outcome.error
        if not error:
            try:
                self._name(task, outcome.sha256)
            except _CannotBe as reason:
                error = str(reason)
            except OSError as reason:
                error = _words(reason)
        if error:
            self._add(Line(prompt.photo, prompt.output, "failed", error))
            if outcome.fatal:
                raise BatchStopped(error)
            return
        self._add(
            Line(
                prompt.photo,
                prompt.output,
                "done",
                score=round(outcome.score, 4),
                device=outcome.device,
                seconds=round(outcome.seconds, 3),
                notes=outcome.notes,
            )
        )

    def run(self, outcomes: Iterable[Outcome]) -> None:
        """Finish what workers made of `tasks()`.

        Raises:
            BatchStopped: see `finish`, or what the workers raise.
        """
        for outcome in outcomes:
            self.finish(outcome)

    def report(self, ended: str) -> dict[str, Any]:
        """Write `report.json` among the outputs and return what it says.

        Args:
            ended: “whole”, “stopped”, or what stopped it.

        Raises:
            OSError: it cannot be written.
        """
        order = {prompt.photo: number for number, prompt in enumerate(self._prompts)}
        lines = sorted(self.lines, key=lambda line: order[line.photo])
        counts = {status: sum(line.status == status for line in lines) for status in ("done", "kept", "failed")}
        listed = set(order)
        report = {
            "version": 1,
            "ended": ended,
            **self._version,
            **counts,
            "open": self.total - len(lines),
            "photos": [
                {key: value for key, value in asdict(line).items() if value not in ("", None)} for line in lines
            ],
            "without_prompt": sorted(
                path.name
                for path in self._folder.iterdir()
                if path.suffix.lower() in _PHOTOS and path.name not in listed and path.is_file()
            ),
        }
        draft = self._own / f"{REPORT}.{os.getpid()}"
        with files.named_in_errors(self._out / REPORT):
            draft.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            draft.replace(self._out / REPORT)
        return report

    def _key(self, prompt: PhotoPrompt, photo: Path, mask: Path | None) -> str:
        made_from = {
            "photo": file_sha256(photo),
            "mask": file_sha256(mask) if mask else "",
            "prompt": {key: value for key, value in asdict(prompt).items() if key not in ("photo", "output", "mask")},
            "version": self._version,
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    def _is_made(self, output: str, key: str) -> bool:
        """Whether the output is there and made from this.

        Raises:
            _CannotBe: something is there that no batch made, or that was changed since.
        """
        path = self._out / output
        if not os.path.lexists(path):
            return False
        sha256 = "" if path.is_symlink() or not path.is_file() else file_sha256(path)
        if not self._journal.knows(output, sha256):
            raise _CannotBe(
                f"{output} is there already and is not what a batch made, or was changed since. "
                "Move it away, or give this photo another output."
            )
        return self._journal.key_of(output, sha256) == key

    def _check_folder(self, output: str) -> None:
        """See, before the work, that the output can get its name.

        Raises:
            _CannotBe: its folder is a file, or cannot be written to.
            OSError: the name is none on this system.
        """
        folder = self._out / output
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder.lstat()
        folder = folder.parent
        while not os.path.lexists(folder):
            folder = folder.parent
        if not folder.is_dir():
            raise _CannotBe(
                f"{folder.name} is not a folder, so that {output} has no place. Move it away, or give this photo "
                "another output."
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _CannotBe(
                f"The folder of {output} cannot be written to. Check its permissions, or give the photo another output."
            )

    def _name(self, task: Task, sha256: str) -> None:
        output = task.prompt.output
        self._is_made(output, task.key)
        path = self._out / output
        with files.named_in_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._journal.add(output, task.key, sha256)
            Path(task.draft).replace(path)

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        self._tell(line)

    def _clear_drafts(self) -> None:
        with contextlib.suppress(OSError):
            shutil.rmtree(self._drafts)


class _CannotBe(Exception):
    """Why one photo's output cannot be made or named."""


def _words(error: OSError) -> str:
    place = f"{Path(error.filename).name}: " if error.filename else ""
    return f"{place}{error.strerror or error}. Check the place and its permissions."
