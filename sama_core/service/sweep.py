"""Removes what processes that were killed in the middle of writing have left in the product's folder."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from sama_core import drafts, paths

log = logging.getLogger(__name__)


def remove_stale_drafts() -> int:
    """Remove stale drafts of state, embeddings and weights; return how many there were."""
    removed = 0
    for folder, pattern in (
        (paths.state_file().parent, f"{paths.state_file().name}.*"),
        (paths.cache_dir() / "embeddings", "*.tmp"),
        (paths.weights_dir(), "*.tmp"),
    ):
        for draft in _files(folder, pattern):
            with contextlib.suppress(OSError):
                if drafts.is_stale(draft):
                    draft.unlink()
                    removed += 1
    if removed:
        log.info("removed %d old drafts", removed)
    return removed


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
    except OSError:
        return []
