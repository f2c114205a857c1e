"""Print requirements.lock without its hashes: pip takes those for the whole of an installation or not at all.

usage: constraints.py
"""

from __future__ import annotations

from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"

if __name__ == "__main__":
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            print(line.removesuffix("\\").rstrip())
