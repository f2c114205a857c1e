"""Faults of the disk under SAMA_HOME, with real processes on a real file system of a few megabytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import SmallDisk
from test_faults import works
from user_desk import Desk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    disk = SmallDisk(home, 4 * 2**20)
    yield disk
    disk.end()


@pytest.fixture
def desk(tmp_path: Path, disk: SmallDisk) -> Iterator[Desk]:
    desk = Desk(tmp_path, disk)
    yield desk
    desk.end()


def test_disk_full(desk: Desk, disk: SmallDisk, fault):
    fault(
        "disk full when the engine is to write its log and its state", "error with a remedy; works when there is room"
    )
    disk.fill()
    outcome = desk.run()
    assert outcome.status == "execution_error" and "is full. Free some space on it" in outcome.message, outcome
    assert not desk.processes() and not desk.drafts()
    disk.make_room()
    fault.saw(f"“{outcome.message}”", works(desk))


def test_disk_becomes_full(desk: Desk, disk: SmallDisk, fault):
    fault("disk full while the engine runs", "answers as ever")
    works(desk)
    disk.fill()
    fault.saw(works(desk))


def test_read_only_home(desk: Desk, disk: SmallDisk, fault):
    fault("home is read-only", "error with a remedy; works when it is writable")
    disk.remount("ro")
    outcome = desk.run()
    assert outcome.status == "execution_error" and "cannot be written (Read-only file system)" in outcome.message
    assert "Make it writable" in outcome.message and not desk.processes()
    disk.remount("rw")
    fault.saw(f"“{outcome.message}”", works(desk))
