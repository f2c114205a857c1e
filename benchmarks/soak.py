"""Thousands of mixed requests against one engine process: do its memory and its file descriptors stay flat?

python benchmarks/soak.py                               10,000 requests, the tests' tiny model
python benchmarks/soak.py --model lite --requests 500   the real one
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "service"))

from engine_process import SMALL_ENGINE, EngineStarter
from soak_load import SIZES, Load, Sample, as_json, look, sparkline, table

from sama_core.service import limits

#: With the real model a picture costs its encoding: smaller ones, so that requests and not pixels are counted.
LITE_SIZES = SIZES[:3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--model", choices=("small", "lite"), default="small", help="small: the tests' tiny one")
    parser.add_argument("--samples", type=int, default=400, help="how often to look at the engine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    args = parser.parse_args()
    command = SMALL_ENGINE if args.model == "small" else ["-m", "sama_core.service"]
    every = max(1, args.requests // args.samples)

    def report(sample: Sample) -> None:
        if sample.requests % (20 * every) == 0:
            print(f"{sample.requests:6}  {sample.memory:7.0f} MiB  {sample.descriptors} files", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        starter = EngineStarter(Path(folder))
        try:
            engine = starter(command)
            began = time.perf_counter()
            load = Load(engine, args.model, SIZES if args.model == "small" else LITE_SIZES)
            # What the engine keeps on purpose must not look like a leak.
            load.fill(limits.IMAGE_STORE_BYTES)
            filled = look(engine.process.pid, 0)
            soak = load.run(args.requests, every, report)
            seconds = time.perf_counter() - began
            hello = engine.hello()
        finally:
            starter.end_all()
    asked = ", ".join(f"{count} {kind}" for kind, count in soak.asked.most_common())
    print(f"{args.requests} requests in {seconds:.0f} s: {asked}. The engine counted {hello['stats']}.")
    print(
        f"Its store of pictures was filled first: {limits.IMAGE_STORE_BYTES >> 20} MiB, {filled.memory:.0f} in all.\n"
    )
    print("\n".join(table(soak)))
    for what in ("memory", "descriptors"):
        print(f"\n`{sparkline(soak, what)}` {what}")
    if args.json:
        args.json.write_text(as_json(soak))
    return 0


if __name__ == "__main__":
    sys.exit(main())
