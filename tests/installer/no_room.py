"""The installer on a disk with 4 GiB left, whatever this one has: `no_room.py OPTIONS…`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from installer import cli, environment

if __name__ == "__main__":
    environment.free_bytes = lambda path: 4 << 30
    sys.exit(cli.main(["--yes", *sys.argv[1:]]))
