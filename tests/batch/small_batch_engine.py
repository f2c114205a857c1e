"""`sama batch` with a small deterministic engine: a script for the tests, and the engine that workers import from here.

What a photo's first pixel says decides: red 1 kills the worker, red 2 raises, red 3 reports no memory, red 4 waits for
the file `release` in `$SAMA_HOME`. Workers leave their process number in `$SAMA_HOME/workers`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from sama_core import paths
from sama_core.errors import InvalidPrompt, WeightsError
from sama_core.inference.request import Answer


class SmallBatchEngine:
    """Alpha is the red channel plus 1 for each click; a matte's foreground is the photo inverted."""

    def __init__(self) -> None:
        if os.environ.get("SAMA_TEST_NO_MODEL"):
            raise WeightsError("There are no weights. Fetch them.")
        folder = paths.make_home() / "workers"
        folder.mkdir(exist_ok=True)
        (folder / str(os.getpid())).touch()
        self.rgb = np.zeros((0, 0, 3), np.uint8)

    def set_image(self, rgb: np.ndarray) -> str:
        self.rgb = rgb
        what = rgb[0, 0, 0]
        (paths.home() / f"seen-{what}").touch()
        if what == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if what == 2:
            raise ValueError("out of order")
        if what == 3:
            raise MemoryError
        while what == 4 and not (paths.home() / "release").exists():
            time.sleep(0.02)
        return "image"

    def select(self, prompt) -> Answer:
        if prompt.box is not None and prompt.box[0] == 13:
            raise InvalidPrompt("That box is unlucky. Draw another.")
        alpha = self.rgb[..., 0] + np.uint8(len(prompt.points)) + (np.uint8(50) * (prompt.mask is not None))
        return Answer(alpha.astype(np.uint8), 0.5, np.zeros((256, 256), np.float32), notes=["made small"])

    def matte(self, prompt, decontaminate=False, *, method="closed-form") -> Answer:
        answer = self.select(prompt)
        if method == "head":
            answer.alpha = 255 - answer.alpha
        if decontaminate:
            answer.foreground = 255 - self.rgb
        return answer


def main(arguments: list[str]) -> int:
    from sama_core import cli
    from sama_core.cli import batch

    def run(args: argparse.Namespace) -> int:
        # by its module's name, for the workers import it
        import small_batch_engine

        return batch.run_with(args, small_batch_engine.SmallBatchEngine)

    batch.run = run
    return cli.main(arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main(["batch", *sys.argv[1:]]))
