"""Seconds and peak memory of Select and Matte as the photo grows.

usage: python benchmarks/large_photos.py [--megapixels 6 24 60] [--model lite]

The bundled cat, enlarged, and three clicks on it one after the other, as a user makes them; each size and each command
in a process of its own. Prints a table of the stages of the first click and of the third, the peak memory, and both
relative to the smallest photo. The peak is that of the whole process, which holds PyTorch and the model (see the row of
0 megapixels) and the photo, 3 bytes a pixel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PHOTO = Path(__file__).resolve().parents[1] / "demo" / "photos" / "chelsea.png"
#: Clicks on the cat in shares of width and height: brow and chest, and the ground beside it.
CLICKS = [(0.44, 0.30, 1), (0.33, 0.63, 1), (0.90, 0.20, 0)]
STAGES = ("encode", "decode", "refine")


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description="Time and memory of large photos.")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[6.0, 24.0, 60.0])
    parser.add_argument("--model", default="lite")
    parser.add_argument("--child", nargs=2, metavar=("COMMAND", "PHOTO"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.model, *args.child)))
        return
    print("| | megapixels | " + " | ".join(f"{stage} s" for stage in STAGES) + " | 3rd click s | peak MB | growth |")
    print("|---|---|" + "---|" * (len(STAGES) + 3))
    with tempfile.TemporaryDirectory() as folder:
        for command in ("select", "matte"):
            idle = run(args.model, command, enlarged(0.01, Path(folder)))
            print(f"| {command} | 0 | | | | | {idle['peak']:.0f} | |", flush=True)
            smallest: dict = {}
            for megapixels in sorted(args.megapixels):
                row = run(args.model, command, enlarged(megapixels, Path(folder)))
                smallest = smallest or row
                print(f"| {command} | {megapixels:g} | {cells(row, smallest)} |", flush=True)


def cells(row: dict, smallest: dict) -> str:
    """A row of the table."""
    growth = ", ".join(f"{stage} ×{row['first'][stage] / smallest['first'][stage]:.1f}" for stage in STAGES)
    whole = sum(row["first"].values()) / sum(smallest["first"].values())
    stages = [f"{row['first'][stage]:.2f}" for stage in STAGES]
    last = f"{sum(row['last'].values()):.2f}"
    return " | ".join([*stages, last, f"{row['peak']:.0f}", f"{growth}; together ×{whole:.1f}"])


def run(model: str, command: str, photo: Path) -> dict:
    """Measure in a fresh process."""
    asked = [sys.executable, __file__, "--model", model, "--child", command, str(photo)]
    return json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)


def enlarged(megapixels: float, folder: Path) -> Path:
    """The cat at about so many megapixels, as a file; enlarged here so that the child's peak does not know of it."""
    with Image.open(PHOTO) as photo:
        factor = (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
        size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
        path = folder / f"{megapixels:g}.npy"
        np.save(path, np.asarray(photo.convert("RGB").resize(size, Image.Resampling.BICUBIC)))
    return path


def measure(model: str, command: str, path: str) -> dict:
    """Ask the engine about one photo: seconds of each stage of the first and of the last click, and the peak in MB."""
    from sama_core import Engine, Prompt
    from sama_core.inference.embedding_cache import EmbeddingCache

    engine = Engine(model, cache=EmbeddingCache(None))
    ask = {"select": engine.select, "matte": engine.matte}[command]
    # what a process does only once, such as compiling, is not the photo's
    engine.set_image(np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8))
    ask(Prompt([(100, 100)], [1]))
    rgb = np.load(path)
    height, width = rgb.shape[:2]
    engine.set_image(rgb)
    rows = []
    for count in range(1, len(CLICKS) + 1):
        clicks = CLICKS[:count]
        points = [(x * width, y * height) for x, y, _ in clicks]
        rows.append(ask(Prompt(points, [label for *_, label in clicks])).seconds)
        engine.set_image(rgb)
    return {"first": rows[0], "last": rows[-1], "peak": peak_megabytes()}


def peak_megabytes() -> float:
    """Peak resident memory of this process (Linux), MB; not `getrusage`'s, which remembers the process before exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("The kernel does not tell the peak memory.")


if __name__ == "__main__":
    main()
