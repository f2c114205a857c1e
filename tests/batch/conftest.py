from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("small_batch_engine.py")


class Desk:
    """A folder of photos, its prompts, and `sama batch` as a process of its own on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos, self.out = folder, folder / "photos", folder / "out"
        self.home = folder / "home"
        self.photos.mkdir()
        self.prompts: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self.environment: dict[str, str] = {}
        self._processes: list[subprocess.Popen[str]] = []

    def photo(self, name: str, red: int = 100, **prompt: Any) -> None:
        """Add a photo of 40×30 whose red is `red`, and what to do with it."""
        path = self.photos / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((30, 40, 3), (red, 20, 30), np.uint8)).save(path)
        self.prompts[name] = prompt or {"points": [[20, 15]]}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        (self.folder / "prompts.json").write_text(
            json.dumps({"version": 1, "defaults": self.defaults, "photos": self.prompts})
        )
        process = subprocess.Popen(
            [
                *(sys.executable, str(SCRIPT), str(self.photos)),
                *("--prompts", str(self.folder / "prompts.json"), "-o", str(self.out)),
                *arguments,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SAMA_HOME": str(self.home), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=400)
        return process.returncode, out, err

    def report(self) -> dict[str, Any]:
        return json.loads((self.out / "report.json").read_text())

    def statuses(self) -> dict[str, str]:
        return {line["photo"]: line["status"] for line in self.report()["photos"]}

    def made(self) -> list[str]:
        """The outputs, and nothing that a batch keeps for itself."""
        files = [path for path in self.out.rglob("*") if path.is_file()]
        own = {"report.json", ".sama-batch/journal.jsonl"}
        return sorted({path.relative_to(self.out).as_posix() for path in files} - own)

    def pixels(self, name: str) -> np.ndarray:
        return np.array(Image.open(self.out / name))

    def close(self) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "release").touch()
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()
