"""The product's own service, with whatever file lies in its place as SAM 2.1 tiny."""

from __future__ import annotations

import sys
from dataclasses import replace

from sama_core.files import file_sha256
from sama_core.service.__main__ import main
from sama_core.weights import registry

if __name__ == "__main__":
    about = registry.info("sam2.1_tiny")
    size, sha256 = about.weights.stat().st_size, file_sha256(about.weights)
    registry.MODELS[about.name] = replace(about, size=size, sha256=sha256)
    sys.exit(main())
