"""The way through the window: which page comes when, what runs meanwhile, what the buttons do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from installer.events import Event, Finding, Finished, Note, Planned, RemovalPlanned, StepDone, StepFailed, StepStarted
from installer.window import gimp_start, installed
from installer.window.feed import step_title
from installer.window.frame import Frame
from installer.window.models_feed import ModelFetch, ModelList
from installer.window.pages.check import CheckPage
from installer.window.pages.done import DonePage
from installer.window.pages.failure import FailurePage
from installer.window.pages.looking import LookingPage
from installer.window.pages.models import ModelsPage, Wanted
from installer.window.pages.progress import ProgressPage
from installer.window.pages.removal import RemovalPage
from installer.window.pages.welcome import Choice, WelcomePage
from installer.window.parts.state_icon import State
from installer.window.programs import Programs
from installer.window.report import report
from installer.window.run import InstallerRun

FOUND, MODELS, INSTALL, CHECK, DONE = "What was found", "Models", "Install", "Try it out", "Done"
_REMOVING = ("Removing", "This takes a moment.")
ENTRIES = [FOUND, MODELS, INSTALL, CHECK, DONE]

Action = Callable[[], object]


@dataclass
class _Buttons:
    """What the three buttons do now."""

    back: Action | None = None
    other: Action | None = None
    next: Action | None = None


@dataclass
class _Journey:
    """What is known on this way through the window."""

    plan: Planned | None = None
    notes: list[tuple[str, bool]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    to_fetch: list[Wanted] = field(default_factory=list)
    not_fetched: dict[str, str] = field(default_factory=dict)


class Controller(QObject):
    """Leads a person through the installation.

    Attributes:
        left: the window has been closed, and nothing runs any more.
    """

    left = Signal()

    def __init__(self, programs: Programs) -> None:
        super().__init__()
        self.programs = programs
        self.frame = Frame(ENTRIES)
        self.looking, self.welcome, self.models = LookingPage(), WelcomePage(), ModelsPage()
        self.progress, self.check, self.done = ProgressPage(), CheckPage(), DonePage()
        self.failure, self.removal = FailurePage(), RemovalPage()
        self._journey = _Journey()
        self._buttons = _Buttons()
        self._run: InstallerRun | None = None
        self._fetch: ModelFetch | None = None
        self._stopping = self._leaving = False
        self.frame.back.clicked.connect(lambda: self._press(self._buttons.back))
        self.frame.other.clicked.connect(lambda: self._press(self._buttons.other))
        self.frame.next.clicked.connect(lambda: self._press(self._buttons.next))
        self.frame.closing.connect(self._close)
        self.welcome.changed.connect(self._offer_choice)
        self.models.changed.connect(self._offer_models)

    def begin(self) -> None:
        """Show the window, and look at the computer."""
        self.look()
        self.frame.show()

    def look(self) -> None:
        """Find out what there is to do."""
        self._journey = _Journey()
        self._show(self.looking, FOUND)
        self._name(back=("&Quit", self.frame.close))
        self._start(self.programs.look(), self._note_plan, self._looked)

    # What was found

    def _note_plan(self, event: Event) -> None:
        if isinstance(event, Planned):
            self._journey.plan = event
        elif isinstance(event, Note):
            self._journey.notes.append((event.text, event.warning))

    def _looked(self, end: Finished) -> None:
        if self._leaving:
            return
        self._show(self.welcome, FOUND)
        plan = self._journey.plan
        if plan is not None and end.status == 0:
            self.welcome.show_plan(plan, self._journey.notes, installed.is_installed())
        else:
            self.welcome.show_problem(end.message, installed.is_installed())

    def _offer_choice(self) -> None:
        if not self._shows(self.welcome):
            return
        quit_it, again = ("&Quit", self.frame.close), ("&Look again", self.look)
        if self.welcome.choice is Choice.REMOVE or (not self.welcome.ready and installed.is_installed()):
            self._name(back=quit_it, other=again, next=("&Remove…", self._ask_removal))
        elif self.welcome.ready:
            self._name(back=quit_it, other=again, next=("&Next", self._list_models))
        elif self._journey.plan is None:
            self._name(back=quit_it, other=("&Choose GIMP's folder…", self._choose_profile), next=again)
        else:
            self._name(back=quit_it, next=again)

    def _choose_profile(self) -> None:
        title = "GIMP's settings folder (GIMP shows it under Edit, Preferences, Folders, Plug-Ins)"
        folder = QFileDialog.getExistingDirectory(self.frame, title)
        if folder:
            self.use_profile(folder)

    def use_profile(self, folder: str) -> None:
        """Install into the GIMP whose settings folder this is, too, and look again."""
        self.programs = replace(self.programs, options=(*self.programs.options, "--gimp-profile", folder))
        self.look()

    # Models

    def _list_models(self) -> None:
        listing = ModelList(self.programs.list_models(), self)
        listing.listed.connect(self._show_models)
        self._name(back=("&Quit", self.frame.close))
        listing.start()

    def _show_models(self, offers: list) -> None:
        self._show(self.models, MODELS)
        self.models.show_offers(offers)

    def _offer_models(self) -> None:
        if self._shows(self.models):
            repairs = self.welcome.choice is Choice.REPAIR
            something = self._steps() or self.models.wanted()
            word = "&Repair" if repairs else "&Install" if something else "&Try it out"
            self._name(back=("&Back", self._back_to_found), next=(word, self._install))

    def _back_to_found(self) -> None:
        self._show(self.welcome, FOUND)
        self._offer_choice()

    # Install

    def _steps(self) -> list[str]:
        plan = self._journey.plan
        return [step for step in (plan.steps if plan else ()) if step != "check"]

    def _install(self) -> None:
        self._journey.to_fetch = self.models.wanted()
        repair = self.welcome.choice is Choice.REPAIR
        self._list_steps()
        if not self._steps() and not repair:
            self._fetch_next()
            return
        self._show(self.progress, INSTALL)
        self._name(back=("&Cancel", self.stop))
        self._start(self.programs.install(repair), self._show_step, self._installed)

    def _list_steps(self) -> None:
        steps = [(step, step_title(step)) for step in self._steps()]
        steps += [(f"model {wanted.name}", _fetch_title(wanted)) for wanted in self._journey.to_fetch]
        self.progress.begin("Installing", "You can go on working meanwhile.", steps)

    def _show_step(self, event: Event) -> None:
        if isinstance(event, Planned):
            # A repair takes other steps than were planned at first.
            self._journey.plan = event
            self._list_steps()
        if isinstance(event, RemovalPlanned):
            self.progress.begin(*_REMOVING, [(step, step_title(step)) for step in event.steps])
        # Looked at once more before anything is done: no step that a person waits for.
        if isinstance(event, (StepStarted, StepDone)) and event.step == "look":
            return
        self.progress.show_event(event)

    def _installed(self, end: Finished) -> None:
        if end.status == 0:
            self._fetch_next()
            return
        self.progress.steps.end_running(State.FAILED)
        lead = "What had been made was taken away again." if self.progress.taken_back else "Nothing was changed."
        title = "SAMA was not installed" if self._stopping else "SAMA could not be installed"
        self._fail(title, lead, end.message, self.look)

    # Download of models

    def _fetch_next(self) -> None:
        if not self._journey.to_fetch:
            self._fetched()
            return
        wanted = self._journey.to_fetch.pop(0)
        step = f"model {wanted.name}"
        self._show(self.progress, INSTALL)
        self._name(back=("&Cancel", self.stop))
        self.progress.show_event(StepStarted(step, _fetch_title(wanted), 0, 0))
        command = (
            self.programs.take_model(wanted.name, wanted.file) if wanted.file else self.programs.get_model(wanted.name)
        )
        self._fetch = ModelFetch(command, step, self)
        self._fetch.progress.connect(self.progress.show_event)
        self._fetch.said.connect(self._journey.log.append)
        self._fetch.finished.connect(lambda there, message: self._end_fetch(wanted, there, message))
        self._fetch.start()

    def _end_fetch(self, wanted: Wanted, there: bool, message: str) -> None:
        step = f"model {wanted.name}"
        self._fetch = None
        if there:
            self.progress.steps.show_step(step, _fetch_title(wanted), State.DONE)
        else:
            self._journey.not_fetched[wanted.title] = message
            self.progress.show_event(StepFailed(step, message))
        if self._leaving:
            self.frame.close()
        elif self._stopping:
            self._journey.to_fetch.clear()
            self._fetched()
        else:
            self._fetch_next()

    def _fetched(self) -> None:
        missing = self._journey.not_fetched
        if not missing or self._stopping:
            self._stopping = False
            self.try_out()
            return
        message = " ".join(f"{title}: {reason}" for title, reason in missing.items())
        self._show(self.failure, INSTALL)
        lead = "SAMA itself is installed, with the model that comes with it."
        self.failure.show_failure("Not every model is there", lead, message, self._log(), stopped=True)
        self._name(
            back=("&Quit", self.frame.close),
            other=("&Try again", self._fetch_again),
            next=("&Go on without", self.try_out),
        )

    def _fetch_again(self) -> None:
        missing = self._journey.not_fetched
        self._journey.to_fetch = [wanted for wanted in self.models.wanted() if wanted.title in missing]
        self._journey.not_fetched = {}
        self._fetch_next()

    # Trying it out

    def try_out(self) -> None:
        """Try the engine and every GIMP."""
        if not self.programs.checks:
            self._finish()
            return
        self.check.begin()
        self._show(self.check, CHECK)
        self._name(back=("&Cancel", self.stop))
        self._start(self.programs.check(), self._show_finding, self._tried_out)

    def _show_finding(self, event: Event) -> None:
        if isinstance(event, Finding):
            self.check.show_finding(event)

    def _tried_out(self, end: Finished) -> None:
        if end.status == 0:
            self.check.end(True)
            self._name(next=("&Next", self._finish))
            return
        if not self.check.findings:
            self._fail("It could not be tried out", "SAMA is installed.", end.message, self.try_out)
            return
        self.check.end(False)
        copy, again = ("Copy &report", lambda: self._copy_report(end.message)), ("&Try again", self.try_out)
        self._name(back=("&Close", self.frame.close), other=copy, next=again)

    def _finish(self) -> None:
        missing = ", ".join(self._journey.not_fetched)
        self.done.show_more(f"Not downloaded: {missing}. Start this installer again to get it." if missing else "")
        self._show(self.done, DONE)
        start = gimp_start.command(self._journey.plan.gimps if self._journey.plan else ())
        opens = ("&Open GIMP", lambda: self._open_gimp(start)) if start else None
        self._name(other=opens, next=("&Close", self.frame.close))

    def _open_gimp(self, command: list[str]) -> None:
        gimp_start.start(command)
        self.frame.close()

    # Removal

    def _ask_removal(self) -> None:
        self.removal.show_models(*installed.models())
        self._show(self.removal, None)
        self._name(back=("&Back", self._back_to_found), next=("&Remove", self._remove))

    def _remove(self) -> None:
        self.progress.begin(*_REMOVING, [])
        self._show(self.progress, None)
        self._name()
        self._start(self.programs.remove(self.removal.models.isChecked()), self._show_step, self._removed)

    def _removed(self, end: Finished) -> None:
        if end.status == 0:
            self.progress.end("SAMA is removed", end.message)
            self._name(next=("&Close", self.frame.close))
        else:
            lead = "What is left is removed by trying again."
            self._fail("SAMA could not be removed wholly", lead, end.message, self._remove)

    # What runs

    def _start(self, command: list[str], tell: Callable[[Event], None], end: Callable[[Finished], None]) -> None:
        self._stopping = False
        run = InstallerRun(command, self)

        def finished(how: Finished) -> None:
            self._journey.log += run.log
            self._run = None
            if self._leaving:
                self.frame.close()
            else:
                end(how)

        run.told.connect(tell)
        run.finished.connect(finished)
        self._run = run
        run.start()

    def stop(self) -> None:
        """Stop what runs; what it made is taken back before anything else can be done."""
        if self._run is None and self._fetch is None:
            return
        self._stopping = True
        self._name(back=("&Cancel", self.stop))
        self.frame.back.setEnabled(False)
        if self._run is not None:
            self.progress.stopping()
            self._run.stop()
        if self._fetch is not None:
            self._fetch.stop()

    def leave(self) -> None:
        """Close the window without asking; what runs is stopped first."""
        self._leaving = True
        if self._run is None and self._fetch is None:
            self.frame.close()
        else:
            self.stop()

    def _close(self, event: QCloseEvent) -> None:
        if self._run is None and self._fetch is None:
            event.accept()
            self.left.emit()
            return
        event.ignore()
        if not self._leaving and (self._shows(self.looking) or self._leave_anyway()):
            self._leaving = True
            self.stop()

    def _leave_anyway(self) -> bool:
        box = QMessageBox(self.frame)
        box.setWindowTitle("SAMA for GIMP")
        box.setText("Stop, and close the window?")
        box.setInformativeText("What was made so far is taken away again first. What was downloaded whole is kept.")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        box.setDefaultButton(QMessageBox.StandardButton.No)
        return box.exec() == QMessageBox.StandardButton.Yes

    # What is shown

    def _fail(self, title: str, lead: str, message: str, again: Action) -> None:
        self._show(self.failure, INSTALL)
        self.failure.show_failure(title, lead, message, self._log(), self._stopping)
        copy = None if self._stopping else ("Copy &report", lambda: self._copy_report(message))
        self._name(back=("&Quit", self.frame.close), other=copy, next=("&Try again", again))

    def _copy_report(self, message: str) -> None:
        version = self._journey.plan.version if self._journey.plan else ""
        QApplication.clipboard().setText(report(version, message, self._log()))
        self.frame.other.setText("Copied")

    def _log(self) -> str:
        return "\n".join(self._journey.log)

    def _shows(self, page: object) -> bool:
        return self.frame.pages.currentWidget() is page

    def _show(self, page, entry: str | None) -> None:
        self.frame.show_page(page, entry)

    def _name(
        self,
        back: tuple[str, Action] | None = None,
        other: tuple[str, Action] | None = None,
        next: tuple[str, Action] | None = None,
    ) -> None:
        self._buttons = _Buttons(*(named[1] if named else None for named in (back, other, next)))
        self.frame.name_buttons(*(named[0] if named else "" for named in (back, other, next)))

    @staticmethod
    def _press(action: Action | None) -> None:
        if action is not None:
            action()


def _fetch_title(wanted: Wanted) -> str:
    return f"Take {wanted.title} from its file" if wanted.file else f"Download {wanted.title}"
