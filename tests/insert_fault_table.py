"""Put the fault table of the last test run (build/faults.md) between its markers in docs/results.md.

usage: insert_fault_table.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- fault table: begin (make faults) -->", "<!-- fault table: end -->"


def main() -> int:
    table, page = ROOT / "build" / "faults.md", ROOT / "docs" / "results.md"
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"error: {page} lacks the markers of the fault table.", file=sys.stderr)
        return 1
    page.write_text(f"{before}{BEGIN}\n{table.read_text(encoding='utf-8')}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
