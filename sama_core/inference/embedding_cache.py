"""Embeddings kept between clicks (RAM) and between engine processes (disk)."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sama_core.model.backbones.base import Features

log = logging.getLogger(__name__)


class EmbeddingCache:
    """LRU of `Features` by key, in RAM and, when `folder` is given, on disk.

    The disk is a convenience: whatever goes wrong there (full, read-only, a damaged file) is logged and costs one
    encoding.

    Args:
        folder: where files `KEY.safetensors` go; made when needed. None keeps embeddings in RAM only.
        ram_entries: how many stay in RAM (a view each; about 2.5 MB for `lite`).
        disk_bytes: cap on the folder; the least recently used files go first.
    """

    def __init__(self, folder: Path | None, ram_entries: int = 40, disk_bytes: int = 512 * 2**20) -> None:
        self.folder, self.ram_entries, self.disk_bytes = folder, ram_entries, disk_bytes
        self._ram: OrderedDict[str, Features] = OrderedDict()

    @staticmethod
    def key(*parts: object) -> str:
        """File-name-safe key of everything an embedding depends on."""
        return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()

    def get(self, key: str) -> Features | None:
        """Return the embedding as CPU tensors, or None."""
        features = self._ram.get(key) or self._read(key)
        if features is not None:
            self._remember(key, features)
        return features

    def put(self, key: str, features: Features) -> None:
        """Keep an embedding of CPU tensors."""
        self._remember(key, features)
        self._write(key, features)

    def _remember(self, key: str, features: Features) -> None:
        self._ram[key] = features
        self._ram.move_to_end(key)
        while len(self._ram) > self.ram_entries:
            self._ram.popitem(last=False)

    def _read(self, key: str) -> Features | None:
        if self.folder is None:
            return None
        path = self.folder / f"{key}.safetensors"
        try:
            with safe_open(path, "pt") as file:
                features = Features.from_tensors({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - not a dict
                if (file.metadata() or {}).get("sha256") != _checksum(features):
                    raise ValueError("its checksum is wrong")
            os.utime(path)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError) as error:
            log.warning("embedding %s is unusable and will be made again: %s", key[:12], error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return features

    def _write(self, key: str, features: Features) -> None:
        if self.folder is None:
            return
        temporary = self.folder / f"{key}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            tensors = {name: tensor.contiguous() for name, tensor in features.tensors().items()}
            save_file(tensors, temporary, {"sha256": _checksum(features)})
            temporary.replace(self.folder / f"{key}.safetensors")
            self._evict()
        except (OSError, SafetensorError) as error:
            log.warning("embedding not written to disk: %s", error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _evict(self) -> None:
        assert self.folder is not None
        entries = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.suffix == ".safetensors":
                    entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries)[:-1]:
            if total <= self.disk_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size


def _checksum(features: Features) -> str:
    """A bit that flipped on the disk gives tensors as good as any other, and a wrong selection."""
    digest = hashlib.sha256()
    for tensor in features.tensors().values():
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def to_cpu(features: Features) -> Features:
    """Copy features to contiguous float16 CPU tensors, the form in which they are kept."""
    return features.map(lambda tensor: tensor.detach().to("cpu", torch.float16).contiguous())
