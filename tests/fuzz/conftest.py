"""Fuzzing with hypothesis: the same examples at each run, unless `SAMA_FUZZ_EXAMPLES` asks for more, then random ones.

SAMA_FUZZ_EXAMPLES=20000 python -m pytest tests/fuzz
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

#: Seconds after which a test counts as hanging: its stack is printed and the run ended.
HANGS_AFTER = 900
#: How much the peak of this process's memory may grow in one test, bytes.
MAX_GROWTH = 512 * 2**20

MANY = int(os.environ.get("SAMA_FUZZ_EXAMPLES", "0"))

settings.register_profile(
    "fuzz",
    derandomize=not MANY,
    database=None,
    max_examples=MANY or 60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    faulthandler.dump_traceback_later(HANGS_AFTER + MANY, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_huge_allocation() -> Iterator[None]:
    """The peak of this process's memory stays where it was, but for `MAX_GROWTH`."""
    resettable = Path("/proc/self/clear_refs")
    if not resettable.exists():
        yield
        return
    resettable.write_text("5")
    before = _peak()
    yield
    assert _peak() - before < MAX_GROWTH


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not tell the peak of memory")
