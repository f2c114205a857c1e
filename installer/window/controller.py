"""The way through the window: which page comes when, what runs meanwhile, what the buttons do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from installer import cli, events, models, package
from installer.events import Event, Finished, InstallError, ModelOffer, Planned
from installer.removal import weight_files
from installer.state import Manifest
from installer.window.frame import PageFrame
from installer.window.pages.check import CheckPage, LookingPage
from installer.window.pages.endings import DonePage, FailurePage, RemovalPage, gimp_command, report, start_detached
from installer.window.pages.models import ModelsPage
from installer.window.pages.progress import ProgressPage
from installer.window.pages.welcome import Choice, WelcomePage
from installer.window.session import Session
from installer.window.widgets import State
from sama_core import paths

FOUND, MODELS, INSTALL, CHECK, DONE = "What was found", "Models", "Install", "Try it out", "Done"
_INSTALLING = ("Installing", "You can go on working meanwhile.")
_REMOVING = ("Removing", "This takes a moment.")
ENTRIES = [FOUND, MODELS, INSTALL, CHECK, DONE]


@dataclass
class _Journey:
    """What is known on this way through the window."""

    plan: Planned | None = None
    notes: list[events.Note] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    step: str = ""
    missing: dict[str, str] = field(default_factory=dict)


class Controller(QObject):
    """Leads a person through the installation.

    Args:
        options: the installer's own, as the person gave them.

    Attributes:
        left: the window has been closed, and nothing runs any more.
    """

    left = Signal()

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.options = options
        self.frame = PageFrame(ENTRIES)
        self.looking, self.welcome, self.models = LookingPage(), WelcomePage(), ModelsPage()
        self.progress, self.check, self.done = ProgressPage(), CheckPage(), DonePage()
        self.failure, self.removal = FailurePage(), RemovalPage()
        self._journey = _Journey()
        self._run: Session | None = None
        self._stopping = self._leaving = False
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
        self.frame.show_page(self.looking, FOUND)
        self.frame.offer(back=("&Quit", self.frame.close))
        self._start((*self.options, "--dry-run"), self._note_plan, self._looked)

    # What was found

    def _note_plan(self, event: Event) -> None:
        if isinstance(event, Planned):
            self._journey.plan = event
        elif isinstance(event, events.Note):
            self._journey.notes.append(event)

    def _looked(self, end: Finished) -> None:
        if self._leaving:
            return
        self.frame.show_page(self.welcome, FOUND)
        plan = self._journey.plan
        if plan is not None and end.status == 0:
            self.welcome.show_plan(plan, self._journey.notes, _is_installed())
        else:
            self.welcome.show_problem(end.message, _is_installed())

    def _offer_choice(self) -> None:
        if not self._shows(self.welcome):
            return
        quit_it, again = ("&Quit", self.frame.close), ("&Look again", self.look)
        if self.welcome.choice is Choice.REMOVE or (not self.welcome.ready and _is_installed()):
            self.frame.offer(back=quit_it, other=again, next=("&Remove…", self._ask_removal))
        elif self.welcome.ready:
            self.frame.offer(back=quit_it, other=again, next=("&Next", self._list_models))
        elif self._journey.plan is None:
            self.frame.offer(back=quit_it, other=("&Choose GIMP's folder…", self._choose_profile), next=again)
        else:
            self.frame.offer(back=quit_it, next=again)

    def _choose_profile(self) -> None:
        title = "GIMP's settings folder (GIMP shows it under Edit, Preferences, Folders, Plug-Ins)"
        folder = QFileDialog.getExistingDirectory(self.frame, title)
        if folder:
            self.use_profile(folder)

    def use_profile(self, folder: str) -> None:
        """Install into the GIMP whose settings folder this is, too, and look again."""
        self.options = (*self.options, "--gimp-profile", folder)
        self.look()

    # Models

    def _list_models(self) -> None:
        # What the engine is installed from is asked: at first there is no engine yet.
        python, source = Path(sys.executable), package.shipped()
        self._listing = Session(lambda listing, stop: listing.tell(models.offers(python, source, bundled=True)), self)
        self._listing.told.connect(self._show_models)
        self.frame.offer(back=("&Quit", self.frame.close))
        self._listing.start()

    def _show_models(self, offers: tuple[ModelOffer, ...]) -> None:
        self.frame.show_page(self.models, MODELS)
        self.models.show_offers(offers)

    def _offer_models(self) -> None:
        if self._shows(self.models):
            repairs = self.welcome.choice is Choice.REPAIR
            something = self._steps() or self.models.wanted()
            word = "&Repair" if repairs else "&Install" if something else "&Try it out"
            self.frame.offer(back=("&Back", self._back_to_found), next=(word, self._install))

    def _back_to_found(self) -> None:
        self.frame.show_page(self.welcome, FOUND)
        self._offer_choice()

    # Install

    def _steps(self) -> list[str]:
        plan = self._journey.plan
        return [step for step in (plan.steps if plan else ()) if step != "check"]

    def _install(self) -> None:
        repairs, wanted = self.welcome.choice is Choice.REPAIR, self.models.wanted()
        if not (self._steps() or repairs or wanted):
            self.try_out()
            return
        self._get(["--repair"] if repairs else [], wanted)

    def _get(self, how: list[str], wanted: list[str]) -> None:
        self._journey.missing = {}
        self.progress.begin(*_INSTALLING, self._steps())
        self.frame.show_page(self.progress, INSTALL)
        self.frame.offer(back=("&Cancel", self.stop))
        named = [option for wish in wanted for option in ("--model", wish)]
        self._change((*self.options, "--yes", "--no-self-check", *how, *named), self._installed)

    def _show_step(self, event: Event) -> None:
        if isinstance(event, Planned):
            # A repair takes other steps than were planned at first, and models are one more.
            self._journey.plan = event
            self.progress.begin(*_INSTALLING, self._steps())
        if isinstance(event, events.RemovalPlanned):
            self.progress.begin(*_REMOVING, list(event.steps))
        if isinstance(event, events.StepStarted):
            self._journey.step = event.step
        # Looked at once more before anything is done: no step that a person waits for.
        if isinstance(event, (events.StepStarted, events.StepDone)) and event.step == "look":
            return
        self.progress.show_event(event)

    def _installed(self, end: Finished) -> None:
        if end.missing:
            self._journey.missing = {self.models.title_of(name): reason for name, reason in end.missing.items()}
            self._lacks_models(list(end.missing))
        elif end.status == 0 or (self._stopping and self._journey.step == "models"):
            # By the time of the models SAMA itself is there.
            self.try_out()
        else:
            self.progress.steps.end_running(State.FAILED)
            lead = "What had been made was taken away again." if self.progress.taken_back else "Nothing was changed."
            title = "SAMA was not installed" if self._stopping else "SAMA could not be installed"
            self._fail(title, lead, end.message, self.look)

    def _lacks_models(self, names: list[str]) -> None:
        message = " ".join(f"{title}: {reason}" for title, reason in self._journey.missing.items())
        lead = "SAMA itself is installed, with the model that comes with it."
        self.frame.show_page(self.failure, INSTALL)
        self.failure.show_failure("Not every model is there", lead, message, "\n".join(self._journey.log), stopped=True)
        again = [wish for wish in self.models.wanted() if wish.partition("=")[0] in names]
        self.frame.offer(
            back=("&Quit", self.frame.close),
            other=("&Try again", lambda: self._get([], again)),
            next=("&Go on without", self.try_out),
        )

    # Trying it out

    def try_out(self) -> None:
        """Try the engine and every GIMP."""
        self._stopping = False
        if "--no-self-check" in self.options:
            self._finish()
            return
        self.check.begin()
        self.frame.show_page(self.check, CHECK)
        self.frame.offer(back=("&Cancel", self.stop))
        self._start((*self.options, "--yes"), self._show_finding, self._tried_out)

    def _show_finding(self, event: Event) -> None:
        if isinstance(event, events.Finding):
            self.check.show_finding(event)

    def _tried_out(self, end: Finished) -> None:
        if end.status == 0:
            self.check.end(True)
            self.frame.offer(next=("&Next", self._finish))
            return
        if not self.check.findings:
            self._fail("It could not be tried out", "SAMA is installed.", end.message, self.try_out)
            return
        self.check.end(False)
        copy, again = ("Copy &report", lambda: self._copy_report(end.message)), ("&Try again", self.try_out)
        self.frame.offer(back=("&Close", self.frame.close), other=copy, next=again)

    def _finish(self) -> None:
        missing = ", ".join(self._journey.missing)
        self.done.show_more(f"Not downloaded: {missing}. Start this installer again to get it." if missing else "")
        self.frame.show_page(self.done, DONE)
        start = gimp_command(self._journey.plan.gimps if self._journey.plan else ())
        opens = ("&Open GIMP", lambda: self._open_gimp(start)) if start else None
        self.frame.offer(other=opens, next=("&Close", self.frame.close))

    def _open_gimp(self, command: list[str]) -> None:
        start_detached(command)
        self.frame.close()

    # Removal

    def _ask_removal(self) -> None:
        fetched = [file for file in weight_files() if file.suffix in (".pth", ".safetensors", ".pt", ".part")]
        self.removal.show_models(len(fetched), sum(file.stat().st_size for file in fetched))
        self.frame.show_page(self.removal, None)
        self.frame.offer(back=("&Back", self._back_to_found), next=("&Remove", self._remove))

    def _remove(self) -> None:
        self.progress.begin(*_REMOVING, [])
        self.frame.show_page(self.progress, None)
        self.frame.offer()
        weights = "--remove-weights" if self.removal.models.isChecked() else "--keep-weights"
        self._change(("--uninstall", "--yes", weights, "--keep-window"), self._removed)

    def _removed(self, end: Finished) -> None:
        if end.status == 0:
            self.progress.end("SAMA is removed", end.message)
            self.frame.offer(next=("&Close", self.frame.close))
        else:
            lead = "What is left is removed by trying again."
            self._fail("SAMA could not be removed wholly", lead, end.message, self._remove)

    # What runs

    def _change(self, options: tuple[str, ...], end: Callable[[Finished], None]) -> None:
        """Run what changes something; who started the window goes on with it should the window come to a sudden end."""

        def ended(how: Finished) -> None:
            _say_doing(())
            end(how)

        _say_doing(options)
        self._start(options, self._show_step, ended)

    def _start(self, options: tuple[str, ...], tell: Callable[[Event], None], end: Callable[[Finished], None]) -> None:
        self._stopping = False
        run = Session(lambda front, stop: cli.carry_out(cli.parsed(list(options)), front, stop), self)

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
        if self._run is None:
            return
        self._stopping = True
        self.frame.offer(back=("&Cancel", self.stop))
        self.frame.back.setEnabled(False)
        self.progress.stopping()
        self._run.stop()

    def leave(self) -> None:
        """Close the window without asking; what runs is stopped first."""
        self._leaving = True
        if self._run is None:
            self.frame.close()
        else:
            self.stop()

    def _close(self, event: QCloseEvent) -> None:
        if self._run is None:
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

    def _fail(self, title: str, lead: str, message: str, again: Callable[[], object]) -> None:
        self.frame.show_page(self.failure, INSTALL)
        self.failure.show_failure(title, lead, message, "\n".join(self._journey.log), self._stopping)
        copy = None if self._stopping else ("Copy &report", lambda: self._copy_report(message))
        self.frame.offer(back=("&Quit", self.frame.close), other=copy, next=("&Try again", again))

    def _copy_report(self, message: str) -> None:
        version = self._journey.plan.version if self._journey.plan else ""
        QApplication.clipboard().setText(report(version, message, "\n".join(self._journey.log)))
        self.frame.other.setText("Copied")

    def _shows(self, page: object) -> bool:
        return self.frame.pages.currentWidget() is page


def _say_doing(options: tuple[str, ...]) -> None:
    """Say on stdout with which options to go on with what is being done; none, when nothing is."""
    print(json.dumps(options), flush=True)


def _is_installed() -> bool:
    """Whether there is something of SAMA's to update, repair or remove."""
    try:
        manifest = Manifest.load(paths.home())
    except InstallError:
        # Damaged: still something that is there.
        return True
    return bool(manifest.environment or manifest.files)
