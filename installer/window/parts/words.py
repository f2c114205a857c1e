"""Labels: every text in the window is one of these."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

#: The height of a sign in pixels.
SIGN = 20


def label(text: str, part: str = "", parent: QWidget | None = None) -> QLabel:
    """A label that wraps, whose text can be marked and copied; `part` names its look."""
    made = QLabel(text, parent)
    # Never rich text: names of folders and words of other programs are shown as they are.
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    if part:
        made.setProperty("part", part)
    return made


def beside_icon(made: QLabel) -> QLabel:
    """`made`, moved down so that its first line is level with the sign in front of it."""
    lower = max(0, (SIGN - made.fontMetrics().height()) // 2)
    made.setContentsMargins(0, lower, 0, 0)
    made.setAlignment(Qt.AlignmentFlag.AlignTop)
    return made


def give_part(widget: QWidget, part: str) -> None:
    """Change the look of a widget that is on the screen already."""
    widget.setProperty("part", part)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def place(path: str) -> str:
    """A path as people read it: the home folder is ~, where that is known."""
    home = str(Path.home())
    known = sys.platform != "win32" and path.startswith(home + os.sep)
    return "~" + path[len(home) :] if known else path


def size(count: int) -> str:
    """`count` bytes as people read them: 3.2 GB, 375 MB."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            number = count / scale
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{count} bytes"
