"""“Looking at this computer”: for the seconds before anything is known."""

from __future__ import annotations

from installer.window.frame import Page
from installer.window.parts.state_icon import State
from installer.window.parts.step_list import StepList


class LookingPage(Page):
    """Shown until the plan is there."""

    def __init__(self) -> None:
        super().__init__("Looking at this computer", "Nothing is changed by looking.")
        steps = StepList()
        steps.show_step("look", "Which GIMPs, which Python, which graphics card …", State.RUNNING)
        self.body.addWidget(steps)
        self.body.addStretch(1)
