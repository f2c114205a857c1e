"""What is on this computer already, for what the window offers."""

from __future__ import annotations

from installer.failures import InstallError
from installer.state import Manifest
from sama_core import paths


def is_installed() -> bool:
    """Whether there is something of SAMA's to update, repair or remove."""
    try:
        manifest = Manifest.load(paths.home())
    except InstallError:
        # Damaged: still something that is there.
        return True
    return bool(manifest.environment or manifest.files)


def models() -> tuple[int, int]:
    """How many model files were fetched, and their bytes together."""
    folder = paths.weights_dir()
    files = [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    fetched = [file for file in files if file.suffix in (".pth", ".safetensors", ".part")]
    return len(fetched), sum(file.stat().st_size for file in fetched)
