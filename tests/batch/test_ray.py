"""`sama batch --ray local`: the same work through Ray Data, with two workers, and nothing left running afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited a minute in vain for {what}")
        time.sleep(0.02)


def processes_of(home: Path) -> list[str]:
    """What still runs with this test's `SAMA_HOME` in its environment: Ray's own processes and its workers."""
    mark = f"SAMA_HOME={home}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_two_workers_share_a_folder(desk):
    for number in range(6):
        desk.photo(f"{number}.png", red=100 + number, kind="select", points=[[1, 1]])
    desk.photo("raising.png", red=2)
    desk.photo("killer.png", red=1)
    desk.environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{HERE}"
    status, out, err = desk.run("--ray", "local", "--jobs", "2", "--device", "cpu")
    assert status == 1, err
    assert desk.made() == [f"{number}.png" for number in range(6)], err
    assert [int(desk.pixels(name)[0, 0]) for name in desk.made()] == [101 + number for number in range(6)]
    errors = {line["photo"]: line["error"] for line in desk.report()["photos"] if line["status"] == "failed"}
    assert errors.keys() == {"raising.png", "killer.png"}
    assert "ValueError: out of order" in errors["raising.png"]
    assert "The process that worked on it ended (signal 9" in errors["killer.png"]
    assert len(list((desk.home / "workers").iterdir())) >= 2
    wait_for(lambda: not processes_of(desk.home), "the last process to end")
    assert out.splitlines()[-1].startswith("6 done, 0 kept from before, 2 failed")


def test_a_folder_that_is_done_starts_no_cluster(desk):
    desk.photo("a.png", kind="select", points=[[1, 1]])
    assert desk.run()[0] == 0
    status, out, _ = desk.run("--ray", "there.is.no.such.cluster:6379")
    assert status == 0 and out.splitlines()[-1].startswith("0 done, 1 kept from before, 0 failed")
