from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from file_server import Behaviour, FileServer

Serve = Callable[..., FileServer]


@pytest.fixture
def content() -> bytes:
    """What a mirror should send: 3 MB that no fault can hit by chance."""
    return np.random.default_rng(5).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()


@pytest.fixture
def serve(content, monkeypatch) -> Iterator[Serve]:
    """Start servers of the content, or of other bytes, that end with the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    servers: list[FileServer] = []

    def start(*behaviours: Behaviour, **options) -> FileServer:
        servers.append(FileServer(options.pop("content", content), *behaviours, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
