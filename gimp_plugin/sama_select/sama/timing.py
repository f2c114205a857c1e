"""How long each step of a run took, for the benchmark: with SAMA_TIMING=1 one JSON line on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager


class Steps:
    """Wall-clock seconds by step name."""

    def __init__(self) -> None:
        self.seconds = {}
        self._began = time.perf_counter()

    @contextmanager
    def step(self, name: str):
        """Add the time spent in the `with` block to the step called `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def write(self, **more) -> None:
        """Print `{"sama_timing": {…}}` if asked for; GIMP's Windows build runs without any standard output."""
        if os.environ.get("SAMA_TIMING") != "1" or sys.stdout is None:
            return
        seconds = {name: round(value, 4) for name, value in self.seconds.items()}
        seconds["total"] = round(time.perf_counter() - self._began, 4)
        print(json.dumps({"sama_timing": dict(more, seconds=seconds)}), flush=True)
