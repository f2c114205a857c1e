"""A lock between processes: held by one, free when its holder ends in any way, and its file may go with it."""

from __future__ import annotations

import subprocess
import sys

from sama_core.files import FileLock, is_held

HOLDER = """
import sys, time
from pathlib import Path
from sama_core.files import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        assert not FileLock(path).acquire()
        assert is_held(path)
    finally:
        holder.kill()
        holder.communicate()
    assert not is_held(path)
    lock = FileLock(path)
    assert lock.acquire() and is_held(path)
    lock.release()
    assert not is_held(path) and not is_held(tmp_path / "none")


def test_a_lock_whose_file_was_removed_is_not_the_lock(tmp_path):
    path = tmp_path / "lock"
    first = FileLock(path)
    assert first.acquire() and first.is_in_place()
    path.unlink()
    assert not first.is_in_place()
    second = FileLock(path)
    assert second.acquire()
    third = FileLock(path)
    assert not third.acquire()
    first.release()
    assert not third.acquire()
    second.release(remove=True)
    assert not path.exists()
