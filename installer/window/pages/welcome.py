"""What was found, and what there is to do."""

from __future__ import annotations

from enum import Enum

from qtpy.QtWidgets import QButtonGroup, QRadioButton, QVBoxLayout

from installer.events import Note, Planned
from installer.window.frame import Page
from installer.window.widgets import Box, Finding, Notice, State, clear, label, place
from installer.wording import facts, split_remedy
from sama_core.weights.download import size_text

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
        self._column = QVBoxLayout()
        self.body.addLayout(self._column)
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

    def show_plan(self, plan: Planned, notes: list[Note], installed: bool) -> None:
        """Show what was found."""
        self.ready = not plan.lacks_space
        lead = "Click on a thing in a photo and get it, cut to the hair. Your pictures never leave this computer."
        self.say(f"SAMA for GIMP {plan.version}", lead)
        column = self._fresh()
        if plan.lacks_space:
            column.addWidget(
                Notice(
                    State.FAILED,
                    f"The disk is too full: {size_text(plan.needed_bytes)} must be free while installing, "
                    f"and {size_text(plan.free_bytes)} are.",
                    "Make room on the disk and look again. To use another disk, set SAMA_HOME to a folder there.",
                )
            )
        for note in notes:
            column.addWidget(Notice(State.NOTE, note.text) if note.warning else label(note.text, "muted"))
        if installed:
            column.addWidget(self._choice_box(plan))
        found = Box()
        column.addWidget(found)
        for fact in facts(plan):
            found.column.addWidget(Finding(State(fact.state), fact.name, *map(place, (fact.text, fact.more))))
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
        clear(self._column)
        self._choices = {}
        return self._column

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
