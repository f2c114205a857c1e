"""`python -m sama_core.service`: the command in install.json that starts the engine."""

from __future__ import annotations

import os
import sys

from sama_core.errors import SamaError
from sama_core.service.engines import real_engines
from sama_core.service.lifecycle import serve

#: Threads that have nothing to do sleep: those of OpenMP otherwise turn in circles for a while, and starve GIMP and one
#: another. Read by the libraries (GNU's and Intel's) when torch is loaded.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def main() -> int:
    """Start the engine, detached from whoever started it; return the exit status."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    try:
        return serve(real_engines(os.environ.get("SAMA_DEVICE", "auto")), detached=True)
    except SamaError as error:
        # The last line is what the plug-in shows.
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
