"""The fault table: what each test that injects a fault expected and observed, written to build/faults.md.

`make faults` runs those tests, wherever they are, and puts the table into docs/results.md.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[1] / "build" / "faults.md"


@dataclass
class Fault:
    """One row of the table. A test names its fault first, then says what it saw, as it sees it."""

    name: str = ""
    expected: str = ""
    observed: list[str] = field(default_factory=list)

    def __call__(self, name: str, expected: str) -> None:
        """Name the fault and what should come of it."""
        self.name, self.expected = name, expected

    def saw(self, *observed: str) -> None:
        """Add what came of it: a message as the user reads it, or a fact that the test has just checked."""
        self.observed += observed

    def row(self) -> str:
        return "| " + " | ".join(map(_cell, (self.name, self.expected, " ".join(self.observed)))) + " |"


_ROWS = pytest.StashKey[list[Fault]]()


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    """A row of the fault table; it is kept only if the test passes."""
    row = Fault()
    yield row
    if request.node.stash.get(_PASSED, False):
        request.config.stash[_ROWS].append(row)


_PASSED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    # Ctrl-C is to reach the processes that tests start, also where the tests themselves run in the background
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_ROWS] = []
    config.addinivalue_line("markers", "fault: injects a fault and adds a row to the fault table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "fault" in getattr(item, "fixturenames", ()):
            item.add_marker("fault")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    # `make faults` is one process; of several the last would undo what the others wrote
    if hasattr(session.config, "workerinput"):
        return
    rows = {fault.name: fault.row() for fault in session.config.stash[_ROWS]}
    if rows:
        TABLE.parent.mkdir(exist_ok=True)
        known = TABLE.read_text(encoding="utf-8").splitlines()[2:] if TABLE.exists() else []
        # A run of some of the tests replaces their rows and leaves the others.
        lines = [rows.pop(row[2:].split(" | ")[0], row) for row in known] + list(rows.values())
        TABLE.write_text(
            "\n".join(["| fault | expected | observed |", "|---|---|---|", *lines]) + "\n", encoding="utf-8"
        )


def _cell(text: str) -> str:
    """Text for a cell, without what differs from run to run: places, process numbers, ports."""
    text = re.sub(r"/\S*/(home|sama)(?=[/ .,:;)]|$)", "SAMA_HOME", text)
    text = re.sub(r"process \d+", "process N", text)
    return text.replace("|", "\\|").replace("\n", " ")
