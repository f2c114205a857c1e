"""What a folder's batches have made: from what, and how it looked when it was made.

`journal.jsonl`, a line of JSON for each output, written just before the output gets its name. So an output is known to
be finished, to be of an earlier photo or prompt, or to have been changed by somebody since.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


class Journal:
    """The journal of one folder of outputs; lines that were cut short are passed over.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: dict[str, dict[str, str]] = {}
        self._ends_whole = True
        if path.exists():
            text = path.read_bytes()
            self._ends_whole = not text or text.endswith(b"\n")
            for line in text.splitlines():
                self._take_in(line)

    def _take_in(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            output, key, sha256 = entry["output"], entry["key"], entry["sha256"]
        except (ValueError, KeyError, TypeError):
            return
        if isinstance(output, str) and isinstance(sha256, str):
            self._made.setdefault(output, {})[sha256] = key

    def knows(self, output: str, sha256: str) -> bool:
        """Whether a file of this content was made here under this name."""
        return sha256 in self._made.get(output, {})

    def key_of(self, output: str, sha256: str) -> str:
        """The key of what that content was made from; empty when it was not made here."""
        return self._made.get(output, {}).get(sha256, "")

    def add(self, output: str, key: str, sha256: str) -> None:
        """Remember an output that is about to get its name.

        Raises:
            OSError: it cannot be written.
        """
        line = json.dumps({"output": output, "key": key, "sha256": sha256}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n" if self._ends_whole else f"\n{line}\n")
            file.flush()
            os.fsync(file.fileno())
        self._ends_whole = True
        self._made.setdefault(output, {})[sha256] = key
