"""What the installer takes from where it lies: a checkout, or the folder of a release."""

from __future__ import annotations

import functools
import importlib
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from installer.failures import InstallError

ROOT = Path(__file__).resolve().parent.parent


def package() -> Path:
    """What the engine is installed from: the checkout itself, or the release's wheel.

    Raises:
        InstallError: neither is there.
    """
    if (ROOT / "sama_core").is_dir():
        return ROOT
    wheels = sorted((ROOT / "wheels").glob("sama_gimp-*.whl"))
    if not wheels:
        raise _incomplete(ROOT / "wheels" / "sama_gimp-*.whl")
    return wheels[-1]


def engine_module(name: str) -> ModuleType:
    """Return a module of the engine that needs nothing but the standard library.

    The engine's rule for places (`sama_core/paths.py`) is written down once, and wanted here before the
    engine can be imported.

    Raises:
        InstallError: it is not there.
    """
    file = f"sama_core/{name}.py"
    source = package()
    try:
        if source.is_dir():
            text = (source / file).read_bytes()
        else:
            with zipfile.ZipFile(source) as wheel:
                text = wheel.read(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _incomplete(source / file) from error
    module = ModuleType(f"sama_{name.strip('_')}_before_the_engine")
    module.__file__ = str(source / file)
    # Its dataclasses look for it there.
    sys.modules[module.__name__] = module
    exec(compile(text, module.__file__, "exec"), module.__dict__)
    return module


def _incomplete(missing: Path) -> InstallError:
    return InstallError(
        f"{missing} is missing. Download SAMA for GIMP again, unpack all of it, and run the installer there."
    )


if TYPE_CHECKING:
    paths: Any


@functools.cache
def __getattr__(name: str) -> Any:
    # `paths`: the engine's rule for places. On first use, so that its absence is told as any other failure.
    if name == "paths":
        return engine_module("paths")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    """The version of SAMA that this installs, from `sama_core/__init__.py`."""
    return str(engine_module("__init__").__version__)
