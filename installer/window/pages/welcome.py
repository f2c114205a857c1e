"""What was found, and what there is to do."""

from __future__ import annotations

from enum import Enum

from qtpy.QtWidgets import QButtonGroup, QRadioButton, QVBoxLayout, QWidget

from installer.events import GimpSeen, Planned
from installer.window.frame import Page
from installer.window.widgets import Box, Finding, Notice, State, label, place, size

#: What the builds of PyTorch are for, as a photographer would say it.
_BUILDS = {
    "cpu": "for the processor",
    "cuda": "for NVIDIA graphics cards",
    "rocm": "for AMD graphics cards",
    "default": "the one made for this system",
}


#: How a GIMP came here, where that tells two of them apart.
_PACKAGINGS = {"flatpak": "Flatpak", "snap": "Snap", "appimage": "AppImage", "store": "Microsoft Store"}
#: Pixels from the edge of a radio button to its words.
_UNDER_RADIO = 20


class Choice(Enum):
    """What is to be done."""

    INSTALL = "install"
    REPAIR = "repair"
    REMOVE = "remove"


class WelcomePage(Page):
    """Shows a plan, or why there is none; where SAMA is installed already, lets a person choose what to do."""

    def __init__(self) -> None:
        super().__init__("SAMA for GIMP", "")
        self._content: QWidget | None = None
        self._choices: dict[Choice, QRadioButton] = {}
        self.ready = False

    @property
    def choice(self) -> Choice:
        """What was chosen."""
        chosen = (choice for choice, button in self._choices.items() if button.isChecked())
        return next(chosen, Choice.INSTALL)

    def choose(self, choice: Choice) -> None:
        """Choose for the person, where there is a choice."""
        self._choices[choice].setChecked(True)

    def show_plan(self, plan: Planned, notes: list[tuple[str, bool]], installed: bool) -> None:
        """Show what was found. `notes` are sentences with whether each is a warning."""
        self.ready = not _lacks_space(plan)
        lead = "Click on a thing in a photo and get it, cut to the hair. Your pictures never leave this computer."
        self.say(f"SAMA for GIMP {plan.version}", lead)
        column = self._fresh()
        if _lacks_space(plan):
            column.addWidget(
                Notice(
                    State.FAILED,
                    f"The disk is too full: {size(plan.needed_bytes)} must be free while installing, "
                    f"and {size(plan.free_bytes)} are.",
                    "Make room on the disk and look again. To use another disk, set SAMA_HOME to a folder there.",
                )
            )
        for text, warning in notes:
            column.addWidget(Notice(State.NOTE, text) if warning else label(text, "muted"))
        if installed:
            column.addWidget(self._choice_box(plan))
        found = Box()
        column.addWidget(found)
        for gimp in plan.gimps:
            found.column.addWidget(_gimp_row(gimp))
        for row in _engine_rows(plan):
            found.column.addWidget(row)
        column.addWidget(label(f"The engine and all that belongs to it goes into {place(plan.home)}", "muted"))
        column.addStretch(1)
        self.changed.emit()

    def show_problem(self, message: str, installed: bool) -> None:
        """Show why SAMA cannot be installed here; removing an installation is offered all the same."""
        self.ready = False
        self.say("SAMA cannot be installed yet", "Nothing was changed. Put this right, then look again.")
        column = self._fresh()
        column.addWidget(Notice(State.FAILED, *split_remedy(message)))
        if installed:
            column.addWidget(label("An installation of SAMA is on this computer; it can be removed.", "muted"))
        column.addStretch(1)
        self.changed.emit()

    def _fresh(self) -> QVBoxLayout:
        if self._content is not None:
            self.body.removeWidget(self._content)
            self._content.hide()
            self._content.deleteLater()
        self._choices = {}
        self._content = QWidget()
        self.body.addWidget(self._content)
        column = QVBoxLayout(self._content)
        column.setContentsMargins(0, 0, 0, 0)
        return column

    def _choice_box(self, plan: Planned) -> Box:
        box = Box()
        box.column.addWidget(label("SAMA is on this computer already. What shall be done?", "heading"))
        up_to_date = not plan.steps or set(plan.steps) <= {"check"}
        usual = (
            ("&Try it out", "It is up to date. More models can be fetched, too.")
            if up_to_date
            else (f"&Update it to {plan.version}", "Settings and models are kept.")
        )
        texts = {
            Choice.INSTALL: usual,
            Choice.REPAIR: ("&Repair it", "What is missing or changed is put back. Settings and models are kept."),
            Choice.REMOVE: ("Re&move it", "It is taken off this computer."),
        }
        group = QButtonGroup(box)
        for choice, (text, more) in texts.items():
            button = QRadioButton(text)
            button.setAccessibleDescription(more)
            button.setChecked(choice is Choice.INSTALL)
            button.toggled.connect(lambda: self.changed.emit())
            group.addButton(button)
            box.column.addWidget(button)
            explained = label(more, "muted")
            explained.setIndent(_UNDER_RADIO)
            box.column.addWidget(explained)
            self._choices[choice] = button
        box.column.setSpacing(2)
        return box


def split_remedy(message: str) -> tuple[str, str]:
    """The first sentence of a message, and the rest."""
    for end in (". ", ".\n", "! ", "? "):
        head, found, rest = message.partition(end)
        if found and len(head) > 15:
            return head + found[0], rest.strip()
    return message, ""


def _lacks_space(plan: Planned) -> bool:
    return bool(plan.needed_bytes) and plan.free_bytes < plan.needed_bytes


def _gimp_row(gimp: GimpSeen) -> Finding:
    if gimp.action == "skip":
        return Finding(State.SKIPPED if not gimp.note else State.NOTE, gimp.name, "left as it is", gimp.note)
    state = State.NOTE if gimp.note else State.DONE
    what = "the plug-in is there, and current" if gimp.action == "keep" else "gets the plug-in"
    kind = _PACKAGINGS.get(gimp.packaging, "")
    where = f"{kind}: {what}" if kind else what
    return Finding(state, gimp.name, where, gimp.note or place(gimp.folder))


def _engine_rows(plan: Planned) -> list[Finding]:
    rows = []
    if plan.accelerator:
        build = _BUILDS.get(plan.torch, "")
        rows.append(Finding(State.DONE, "Works on", plan.accelerator, f"PyTorch {build} is used" if build else ""))
    if plan.python:
        rows.append(Finding(State.DONE, "Python", place(plan.python)))
    if plan.engine == "keep":
        rows.append(Finding(State.DONE, "Engine", "there, and current: nothing to download"))
    about = "" if plan.measured else "This is an estimate; it has not been measured on this kind of system."
    if plan.download_bytes:
        rows.append(Finding(State.DONE, "Download", f"about {size(plan.download_bytes)}", about))
    if plan.needed_bytes:
        state = State.FAILED if _lacks_space(plan) else State.DONE
        text = f"{size(plan.needed_bytes)} must be free while installing; {size(plan.free_bytes)} are"
        rows.append(Finding(state, "Disk", text, f"{size(plan.kept_bytes)} are used in the end"))
    return rows
