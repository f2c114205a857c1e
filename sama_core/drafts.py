"""Files in the making: written under another name and then renamed, so that nobody meets half a file.

A process that is killed meanwhile leaves its draft behind; whoever writes next to it later removes it when it is stale.
"""

from __future__ import annotations

import time
from pathlib import Path

#: Seconds after which a draft is nobody's any more.
STALE_SECONDS = 24 * 3600


def is_stale(draft: Path) -> bool:
    """Say whether a file was last written more than a day ago, or is dated more than a day ahead.

    The latter was written before the clock was set back.

    Raises:
        OSError: it has gone.
    """
    return abs(time.time() - draft.stat().st_mtime) > STALE_SECONDS
