"""`python -m sama_core.service`: the command in install.json that starts the engine."""

from __future__ import annotations

import os
import sys

from sama_core.errors import SamaError
from sama_core.service.engines import real_engines
from sama_core.service.lifecycle import serve


def main() -> int:
    """Start the engine, detached from whoever started it; return the exit status."""
    try:
        return serve(real_engines(os.environ.get("SAMA_DEVICE", "auto")), detached=True)
    except SamaError as error:
        # The last line is what the plug-in shows.
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
