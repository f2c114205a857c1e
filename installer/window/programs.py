"""The command lines of what the window starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from installer import state
from installer.checkout import ROOT
from sama_core import paths

_INSTALLER = str(ROOT / "installer" / "install.py")


@dataclass(frozen=True)
class Programs:
    """How to start the installer and the engine's own command.

    Attributes:
        python: the interpreter that the installer is run with; not the window's own environment, for the engine's is
            made with it.
        options: the installer's options as the person gave them on the command line.
    """

    python: str
    options: tuple[str, ...] = ()

    def look(self) -> list[str]:
        """Say what there is to do, and do nothing."""
        return self._installer("--dry-run")

    def install(self, repair: bool) -> list[str]:
        """Install, without trying it out."""
        return self._installer("--yes", "--no-self-check", *(["--repair"] if repair else []))

    def check(self) -> list[str]:
        """Install, which changes nothing where everything is in place, and try it out."""
        return self._installer("--yes")

    def remove(self, models_too: bool) -> list[str]:
        """Remove SAMA."""
        weights = "--remove-weights" if models_too else "--keep-weights"
        return [self.python, _INSTALLER, "--json", "--yes", "--uninstall", weights, "--keep-window"]

    def list_models(self) -> list[str]:
        """Say which models there are. Needs no engine, so that it can be asked before there is one."""
        return [sys.executable, "-m", "sama_core.cli", "weights", "list", "--json"]

    def get_model(self, name: str) -> list[str]:
        """Download a model."""
        return [*self._engine(), "weights", "get", name, "--json"]

    def take_model(self, name: str, file: str) -> list[str]:
        """Take a model from a file."""
        return [*self._engine(), "weights", "take", name, file, "--json"]

    @property
    def checks(self) -> bool:
        """Whether the person wants it tried out."""
        return "--no-self-check" not in self.options

    def _installer(self, *more: str) -> list[str]:
        return [self.python, _INSTALLER, "--json", *self.options, *more]

    def _engine(self) -> list[str]:
        record = state.read_json(paths.install_record()) or {}
        return [str(Path(record.get("python", ""))), "-m", "sama_core.cli"]
