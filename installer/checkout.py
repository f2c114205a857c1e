"""What the installer takes from the checkout it lives in."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from installer.failures import InstallError

ROOT = Path(__file__).resolve().parent.parent


def load_module(name: str, file: Path) -> ModuleType:
    """Return the module in `file`, loaded by path.

    The engine's rule for places (`sama_core/paths.py`) is written down once, and wanted here before the
    engine can be imported.

    Raises:
        InstallError: the file is not there.
    """
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise InstallError(
            f"{file} is missing. Download SAMA for GIMP again, unpack all of it, and run the installer there."
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


paths = load_module("sama_paths_rule", ROOT / "sama_core" / "paths.py")


def plugin_source() -> Path:
    """The folder of the plug-in that is to be copied into GIMP's profile."""
    return ROOT / "gimp_plugin" / "sama_select"


def plugin_module(name: str) -> Any:
    """Import one of the plug-in's modules; its client is the installer's too."""
    folder = str(plugin_source())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


def version() -> str:
    """The version of this checkout, from `sama_core/__init__.py`."""
    return str(load_module("sama_core_version", ROOT / "sama_core" / "__init__.py").__version__)
