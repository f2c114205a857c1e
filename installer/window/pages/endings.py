"""How a visit ends: done, failed, or with SAMA removed; opening GIMP, and a report for those who mend SAMA."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout

from installer.child_processes import clean_environment
from installer.events import GimpSeen
from installer.window.frame import Page
from installer.window.pages.progress import Details
from installer.window.widgets import Box, MenuPath, Notice, State, clear, label
from installer.wording import split_remedy
from sama_core.cli.report import Anonymous
from sama_core.weights.download import size_text


class DonePage(Page):
    """Where to find SAMA in GIMP, and how to begin."""

    def __init__(self) -> None:
        super().__init__(
            "SAMA is installed", "If GIMP is open, close it and start it again: it then has two new entries."
        )
        menus = Box()
        menus.column.addWidget(label("In GIMP's menus", "heading"))
        menus.column.addWidget(MenuPath(["Filters", "SAMA Select…"], "makes a selection"))
        menus.column.addWidget(MenuPath(["Layer", "Add SAMA Alpha Matte…"], "cuts the layer out, hair and all"))
        self.body.addWidget(menus)
        how = Box()
        how.column.addWidget(label("A first try", "heading"))
        for number, text in enumerate(
            (
                "Open a photo and take the Path tool (press B).",
                "Click once on the thing you want, or two or three times on its parts.",
                "Choose Filters ▸ SAMA Select… and press OK.",
            ),
            start=1,
        ):
            how.column.addWidget(label(f"{number}.  {text}"))
        self.body.addWidget(how)
        self._more: QLabel = label("", "muted")
        self.body.addWidget(self._more)
        self.body.addStretch(1)

    def show_more(self, text: str) -> None:
        """Say something that this run gave, for example that a model was not downloaded."""
        self._more.setText(text)
        self._more.setVisible(bool(text))


class FailurePage(Page):
    """Shown when something failed, or was stopped."""

    def __init__(self) -> None:
        super().__init__("", "")
        self._notice = QVBoxLayout()
        self.body.addLayout(self._notice)
        self._told = label(
            "“Copy report” copies what happened, without your name or folders, for a bug report.", "muted"
        )
        self.body.addWidget(self._told)
        self.details = Details()
        self.body.addWidget(self.details, 1)
        self.body.addStretch(0)

    def show_failure(self, title: str, lead: str, message: str, log: str, stopped: bool) -> None:
        """Show `message`, a sentence and its remedy, and the log behind “Details”."""
        self.say(title, lead)
        clear(self._notice)
        self._notice.addWidget(Notice(State.NOTE if stopped else State.FAILED, *split_remedy(message)))
        self._told.setVisible(not stopped)
        self.details.log.clear()
        self.details.add(log)


class RemovalPage(Page):
    """Asks about the models."""

    def __init__(self) -> None:
        super().__init__("Remove SAMA", "The engine and the plug-in are taken away, and nothing else.")
        box = Box()
        box.column.addWidget(label("Your pictures, GIMP's settings and your other plug-ins stay as they are."))
        self.models = QCheckBox()
        box.column.addWidget(self.models)
        self.body.addWidget(box)
        self.body.addStretch(1)

    def show_models(self, count: int, total: int) -> None:
        """Offer to delete the `count` downloaded model files of `total` bytes."""
        self.models.setVisible(count > 0)
        self.models.setChecked(False)
        files = "the model" if count == 1 else f"the {count} models"
        self.models.setText(f"&Delete {files} that were downloaded as well ({size_text(total)})")


def gimp_command(gimps: Iterable[GimpSeen]) -> list[str]:
    """How to start the first of `gimps` that has the plug-in; empty when that is not known."""
    for gimp in gimps:
        if gimp.action == "skip":
            continue
        if gimp.packaging == "flatpak" and shutil.which("flatpak"):
            return ["flatpak", "run", "org.gimp.GIMP"]
        program = Path(gimp.program) if gimp.program else None
        if program is None:
            continue
        # Beside the program without a window lies the one with it.
        window = program.with_name(program.name.replace("-console", ""))
        if window.is_file():
            return [str(window)]
    return []


def start_detached(command: list[str]) -> None:
    """Start it, on its own."""
    subprocess.Popen(command, env=clean_environment(), cwd=Path.home(), start_new_session=True)


def report(version: str, message: str, log: str) -> str:
    """What to paste into a bug report: what happened, without the person's name, folders or pictures."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    return Anonymous().text(f"SAMA for GIMP {version}\n{system}\n\n{message}\n\n{log}\n")
