"""The installer with another index in place of PyTorch's own: `with_torch_index.py URL OPTIONS…`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from installer import cli, torch_builds

if __name__ == "__main__":
    torch_builds._index = lambda *wish: sys.argv[1]
    sys.exit(cli.main(["--yes", *sys.argv[2:]]))
