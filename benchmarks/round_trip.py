"""What share of a run on a 24-megapixel photo is the plug-in's own, and how much memory the engine takes.

usage: python benchmarks/round_trip.py [--megapixels 24] [--clicks 4]

Runs both commands in real GIMP 3 through their procedures, as the demo does, on a bundled photo enlarged to the asked
size. For each click it prints what the plug-in spent (collecting, reading, hashing, sending, receiving, writing), what
the engine spent, and the plug-in's share of the whole procedure call, the start of its process included. Then the
engine's peak memory, as the kernel counted it. Figures are of this machine at this moment; the share is a ratio of one
run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gimp"))
from sandbox import GimpSession, Workspace, engine_process, find_gimp  # noqa: E402

#: Clicks on Chelsea the cat in shares of width and height: brow, cheek, chin, ear.
CLICKS = [(0.24, 0.20), (0.27, 0.63), (0.55, 0.60), (0.72, 0.10), (0.10, 0.80)]
#: Steps in which the plug-in waits for the engine; all others are its own.
WAITING = ("ask", "connect")

OPEN = """
img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r}))
layer = img.get_layers()[0]
path = Gimp.Path.new(img, "clicks")
img.insert_path(path, None, 0)
"""
CLICK = """
import time
for stroke in path.get_strokes():
    path.remove_stroke(stroke)
control = [number for point in {points!r} for _ in range(3) for number in point]
path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, control, False)
began = time.perf_counter()
answer = call({procedure!r}, image=img, drawables=[layer], include_path=path, **{arguments!r})
print(json.dumps([answer["status"], answer["error"], time.perf_counter() - began]))
"""


def main() -> int:
    """Print one Markdown table and the peak memory."""
    parser = argparse.ArgumentParser(description="Time a run in GIMP step by step.")
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--clicks", type=int, default=4)
    arguments = parser.parse_args()
    workspace = Workspace(find_gimp(), [ROOT / "gimp_plugin" / "sama_select"])
    workspace.record_engine(Path(sys.executable))
    photo = workspace.files / "photo.png"
    width, height = enlarge(arguments.megapixels, photo)
    print(f"{width}×{height} pixels, GIMP {workspace.gimp.version}\n")
    try:
        with GimpSession(workspace, "round-trip", environment={"SAMA_TIMING": "1"}) as session:
            session.run(OPEN.format(photo=str(photo)), timeout=600)
            rows = []
            for number in range(1, arguments.clicks + 1):
                points = [(x * width, y * height) for x, y in CLICKS[:number]]
                rows.append(one_click(session, f"select, click {number}", "plug-in-sama-select", points, {}))
            new_layer = {"output": "new-layer", "decontaminate": True}
            for name, extra in (("matte as mask", {}), ("matte as cut-out layer", new_layer)):
                rows.append(one_click(session, name, "plug-in-sama-alpha-matte", points, extra))
            print_table(rows)
            pid = engine_process.hello(workspace.sama_home)["pid"]
            print(f"\nengine's peak memory: {peak_memory(pid) / 2**30:.2f} GiB")
    finally:
        engine_process.stop(workspace.sama_home)
        workspace.remove("round-trip")
    return 0


def enlarge(megapixels: float, target: Path) -> tuple[int, int]:
    """Write the bundled photo enlarged to about so many megapixels; return its width and height."""
    with Image.open(ROOT / "demo" / "photos" / "chelsea.png") as photo:
        factor = (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
        size = (round(photo.width * factor), round(photo.height * factor))
        photo.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target, compress_level=1)
    return size


def one_click(session: GimpSession, name: str, procedure: str, points: list, arguments: dict) -> dict:
    """Run a procedure and return its row: name, whole, engine and the plug-in's steps, seconds."""
    before = session.log().count('{"sama_timing"')
    code = CLICK.format(points=points, procedure=procedure, arguments=arguments)
    status, error, whole = session.json(code, timeout=900)
    if status != "success":
        raise SystemExit(f"{procedure} returned {status}: {error}")
    lines = [line for line in session.log().splitlines() if line.startswith('{"sama_timing"')]
    timing = json.loads(lines[before])["sama_timing"]
    own = {step: value for step, value in timing["seconds"].items() if step not in (*WAITING, "total")}
    return {"name": name, "whole": whole, "engine": sum(timing["engine_seconds"].values()), "own": own}


def print_table(rows: list[dict]) -> None:
    """Print Markdown."""
    steps = list(dict.fromkeys(step for row in rows for step in row["own"]))
    head = ["", "whole s", "engine s", *steps, "plug-in's share"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        share = sum(row["own"].values()) / row["whole"]
        cells = [f"{row['whole']:.2f}", f"{row['engine']:.2f}", *(f"{row['own'].get(step, 0):.2f}" for step in steps)]
        print(f"| {row['name']} | " + " | ".join(cells) + f" | {share:.1%} |")


def peak_memory(pid: int) -> int:
    """Peak resident memory of a process, bytes (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("The kernel does not tell the engine's peak memory.")


if __name__ == "__main__":
    sys.exit(main())
