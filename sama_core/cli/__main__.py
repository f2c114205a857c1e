"""`python -m sama_core.cli` is `sama`."""

import sys

from sama_core.cli import main

sys.exit(main())
