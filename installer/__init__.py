"""Puts SAMA into GIMP, and takes it away again. The standard library is all it needs, and the engine's own modules.

Those (`sama_core.paths` and the like) are in the checkout beside it, or in the wheel of the release's folder.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
if not (_ROOT / "sama_core").is_dir():
    _wheels = sorted((_ROOT / "wheels").glob("sama_gimp-*.whl"))
    if not _wheels:
        sys.exit(
            f"{_ROOT / 'wheels' / 'sama_gimp-*.whl'} is missing. Download SAMA for GIMP again, unpack all of it, and "
            "run the installer there."
        )
    sys.path.insert(0, str(_wheels[-1]))
