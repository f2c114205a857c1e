"""What the installer takes from where it lies: a checkout, or the folder of a release."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def package() -> Path:
    """What the engine is installed from: the checkout itself, or the release's wheel."""
    if (ROOT / "sama_core").is_dir():
        return ROOT
    return sorted((ROOT / "wheels").glob("sama_gimp-*.whl"))[-1]


def plugin_source() -> Path:
    """The folder of the plug-in that is to be copied into GIMP's profile."""
    return ROOT / "gimp_plugin" / "sama_select"


def plugin_module(name: str) -> Any:
    """Import one of the plug-in's modules; its client is the installer's too."""
    folder = str(plugin_source())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
