"""The weight files on this machine: which are there, whether they are the right ones, and how they come and go.

A file counts only by its checksum; nothing here looks into one, so bytes from elsewhere are never unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from sama_core import paths
from sama_core.errors import WeightsError
from sama_core.files import file_sha256
from sama_core.weights.download import (
    DownloadError,
    Patience,
    Progress,
    RemoteFile,
    discard_part,
    download,
    no_progress,
    on_disk,
    only_one,
    part_of,
    require_space,
    size_text,
)
from sama_core.weights.registry import MODELS, ModelInfo

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Presence:
    """What is on the disk of a model, told by sizes alone.

    Attributes:
        present: a file of the right size is there.
        wrong_size: the size in bytes of a file in its place that has another one; 0 when there is none.
        partial: bytes that a download that was stopped left, for the next one.
    """

    present: bool
    wrong_size: int
    partial: int


def presence(model: ModelInfo) -> Presence:
    """Look a model's file up."""
    part = part_of(model.weights)
    partial = part.stat().st_size if part.is_file() else 0
    if not model.weights.is_file():
        return Presence(False, 0, partial)
    size = model.weights.stat().st_size
    return Presence(size == model.size, 0 if size == model.size else size, partial)


def is_right(model: ModelInfo, progress: Progress = no_progress) -> bool:
    """Whether the model's file is there and has the right checksum.

    Raises:
        OSError: it cannot be read.
    """
    if not presence(model).present:
        return False
    return file_sha256(model.weights, lambda done: progress(done, model.size, "Checking")) == model.sha256


def get(
    model: ModelInfo,
    mirrors: tuple[str, ...] = (),
    progress: Progress = no_progress,
    patience: Patience | None = None,
) -> None:
    """Download a model's weights, or what is missing of them; a right file is left alone.

    Args:
        mirrors: addresses of folders that are asked before the known ones.

    Raises:
        DownloadError: with what to do.
    """
    own = tuple(f"{mirror.rstrip('/')}/{model.file}" for mirror in mirrors)
    remote = RemoteFile((*own, *model.urls), model.size, model.sha256)
    _make_folder(model)
    download(remote, model.weights, progress, patience)


def take(model: ModelInfo, source: Path, link: bool = False, progress: Progress = no_progress) -> None:
    """Use a file that the user has, once its checksum has been seen to be right.

    Args:
        link: do not copy it, but link to it; it must stay where it is.

    Raises:
        WeightsError: it is missing, damaged or another model's.
        DownloadError: it does not fit.
    """
    if not source.is_file():
        raise WeightsError(f"There is no file {source}. Check its name.")
    size = source.stat().st_size
    if size != model.size:
        raise WeightsError(f"{source.name} {_another_model(size=size) or _wrong_size(model, size)}")
    _make_folder(model)
    target = model.weights
    with only_one(target, lambda: progress(0, size, "Waiting for a download of the same file")):
        if target.exists() and target.samefile(source) and not target.is_symlink():
            found = file_sha256(source, lambda done: progress(done, size, "Checking"))
            _require(model, source, found)
            return
        draft = target.with_name(f"{target.name}.taken")
        try:
            if link:
                _require(model, source, file_sha256(source, lambda done: progress(done, size, "Checking")))
                with on_disk(target):
                    _link(source, draft)
            else:
                require_space(target, size)
                _require(model, source, _copy(source, draft, size, progress))
            with on_disk(target):
                draft.replace(target)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        with on_disk(target):
            discard_part(target)


def remove(model: ModelInfo) -> int:
    """Remove a model's weights and what a stopped download left of them; return the bytes that frees.

    Raises:
        WeightsError: the weights come with the package.
        DownloadError: they cannot be removed.
    """
    if not model.optional:
        raise WeightsError(f"The weights of {model.name} come with SAMA and stay. Remove another model.")
    target = model.weights
    if not target.parent.is_dir():
        return 0

    def busy() -> None:
        raise WeightsError(f"{target.name} is being downloaded just now. Stop that first, then remove it.")

    with only_one(target, busy), on_disk(target):
        freed = target.stat().st_size if target.is_file() and not target.is_symlink() else 0
        target.unlink(missing_ok=True)
        return freed + discard_part(target)


def _make_folder(model: ModelInfo) -> None:
    if not model.optional:
        raise WeightsError(f"The weights of {model.name} come with SAMA. {model.remedy}")
    folder = model.weights.parent
    try:
        paths.make_home()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"The folder {folder} cannot be made: {error.strerror or error}. Make its place one you can write to."
        ) from error


def _copy(source: Path, draft: Path, size: int, progress: Progress) -> str:
    """Copy a file and return the SHA-256 of the bytes that were written."""
    digest = hashlib.sha256()
    done = 0
    with on_disk(draft), source.open("rb") as file, draft.open("wb") as out:
        while block := file.read(_BLOCK):
            digest.update(block)
            out.write(block)
            done += len(block)
            progress(done, size, "Copying")
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _link(source: Path, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), draft)
    except OSError:  # on another disk, or the file system has no hard links
        draft.symlink_to(source.resolve())


def _require(model: ModelInfo, source: Path, sha256: str) -> None:
    if sha256 != model.sha256:
        another = _another_model(sha256=sha256)
        raise WeightsError(
            f"{source.name} {another}"
            if another
            else f"{source.name} is damaged or altered: its checksum is not that "
            f"of {model.name}'s official weights. {model.remedy}"
        )


def _another_model(size: int = 0, sha256: str = "") -> str:
    for other in MODELS.values():
        if other.optional and (other.size == size or other.sha256 == sha256):
            return f"is the file of another model, {other.name}. Use: sama weights take {other.name} FILE"
    return ""


def _wrong_size(model: ModelInfo, size: int) -> str:
    return (
        f"has {size_text(size)} ({size} bytes) and {model.name}'s official weights have {size_text(model.size)} "
        f"({model.size}): it is cut short or another file. {model.remedy}"
    )
