#!/usr/bin/env python3
"""Install SAMA for GIMP:  python3 install.py  (and  --uninstall  to take it away again)."""

import sys
from pathlib import Path

# Said here, before anything newer is read, so that an old Python gets a sentence and not a syntax error.
if sys.version_info < (3, 9):  # noqa: UP036
    sys.exit("This installer needs Python 3.9 or newer. Install a newer Python and run the installer with it.")

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent)
    sys.dont_write_bytecode = True

    from installer.cli import main

    sys.exit(main())
