"""`sama` with ViT-B's entry replaced by a small file's: size, checksum and addresses from `$SAMA_TEST_FILE`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

from sama_core.cli import main
from sama_core.weights import registry

if __name__ == "__main__":
    about = json.loads(os.environ["SAMA_TEST_FILE"])
    registry.MODELS["vit_b"] = replace(registry.MODELS["vit_b"], **about)
    sys.exit(main())
