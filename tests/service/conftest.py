from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_process import EngineStarter, RunningEngine
from user_desk import Desk


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[EngineStarter]:
    starter = EngineStarter(tmp_path)
    yield starter
    starter.end_all()


@pytest.fixture
def engine(start_engine: EngineStarter) -> RunningEngine:
    return start_engine()


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """One engine for all tests of a file that leave nothing behind in it."""
    starter = EngineStarter(tmp_path_factory.mktemp("shared"))
    yield starter()
    starter.end_all()


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.end()


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for faults that the next run recovers from."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.end()
