"""The installation in a terminal."""

from __future__ import annotations

import sys
from collections import deque

from installer.events import (
    Event,
    Finding,
    Finished,
    GimpSeen,
    InstallError,
    Log,
    Note,
    Planned,
    Progress,
    RemovalPlanned,
    StepDone,
    StepFailed,
    StepStarted,
    TakingBack,
)

_GIB = 1024**3
_MB = 1_000_000
#: How many lines of a program's own words are shown when its step fails.
_LAST_WORDS = 25


class TextFrontEnd:
    """Prints what is done; a step's own details only where it takes long or fails."""

    def __init__(self) -> None:
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._meter = Meter()

    def tell(self, event: Event) -> None:
        """Print the event."""
        if isinstance(event, Progress):
            self._meter.show(event)
            return
        self._meter.end()
        if isinstance(event, Log):
            self._words.append(event.text)
        elif isinstance(event, Planned):
            _show_plan(event)
        elif isinstance(event, RemovalPlanned):
            _show_removal(event)
        elif isinstance(event, StepStarted) and event.step != "look":
            self._words.clear()
            _say(f"[{event.number}/{event.count}] {event.title} …")
        elif isinstance(event, StepDone) and event.text:
            _say(f"  {event.text}")
        elif isinstance(event, StepFailed):
            for line in self._words:
                print(f"  | {line}", file=sys.stderr)
        elif isinstance(event, Note):
            _say(f"  {'Warning' if event.warning else 'Note'}: {event.text}")
        elif isinstance(event, Finding):
            _say(f"  {event.subject}: {'FAILED. ' if event.ok is False else ''}{event.text}")
            if event.picture:
                _say(f"  What it found, to look at: {event.picture}")
        elif isinstance(event, TakingBack):
            print("This run cannot come to its end. What it has made is being taken away again …", file=sys.stderr)
        elif isinstance(event, Finished):
            print(f"\n{event.message}", file=sys.stderr if event.status else sys.stdout, flush=True)

    def agrees(self, plan: Planned) -> bool:
        """Ask whether to go on.

        Raises:
            InstallError: there is nobody to ask.
        """
        try:
            answer = input("\nGo on? [Y/n] ")
        except EOFError:
            print()
            raise InstallError("There is nobody to ask. Give --yes to install without asking.") from None
        return answer.strip().lower() in ("", "y", "yes")

    def wants_models(self, plan: Planned) -> tuple[str, ...]:
        """Show the models that can be had, and ask; none where nobody answers."""
        _say("\nThe model that comes with SAMA is all you need to begin. These larger ones can be downloaded too:")
        known = [offer.name for offer in plan.models]
        for offer in plan.models:
            _say(f"  {offer.name}: {offer.missing / _MB:.0f} MB, licence {offer.licence}; needs {offer.needs}")
        while True:
            try:
                answer = input(f"Which of them, for example {known[0]}? Just Enter for none: ")
            except EOFError:
                _say("")
                return ()
            names = tuple(dict.fromkeys(answer.replace(",", " ").split()))
            if set(names) <= set(known):
                return names
            _say(f"Please say one or more of {', '.join(known)}, or nothing.")

    def gives_up(self, plan: RemovalPlanned) -> bool:
        """Ask whether the models go too; they stay where nobody answers."""
        for file in plan.weights:
            _say(f"  {file.name}, {file.size / _MB:.0f} MB")
        try:
            answer = input("Remove them too? Models of your own training cannot be downloaded again. [y/N] ")
        except EOFError:
            _say("\nThere is nobody to ask, so they stay. --remove-weights removes them.")
            return False
        return answer.strip().lower() in ("y", "yes")


class Meter:
    """One line that shows how far a download is; on a terminal it is written over, elsewhere it stays away."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, event: Progress) -> None:
        """Write the line."""
        if not sys.stdout.isatty():
            return
        of = f" of {event.total / _MB:.0f}" if event.total else ""
        share = f" ({100 * event.done // event.total} %)" if event.total else ""
        line = f"  {event.done / _MB:.0f}{of} MB{share}  {event.text}"[:100]
        print("\r" + line.ljust(self._width), end="", flush=True)
        self._width = len(line)

    def end(self) -> None:
        """Go on below the line."""
        if self._width:
            print(flush=True)
            self._width = 0


def _say(text: str) -> None:
    print(text, flush=True)


def _show_plan(plan: Planned) -> None:
    _say(f"SAMA for GIMP {plan.version}\n")
    for gimp in plan.gimps:
        _show_gimp(gimp)
    folder = f"{plan.home}/engine" if "\\" not in plan.home else f"{plan.home}\\engine"
    if plan.engine == "use":
        _say(f"Engine: the one that {plan.python} has is used")
    elif plan.engine == "make":
        _say(f"Engine: goes into {folder}, made with {plan.python}")
    elif plan.engine == "update":
        _say(f"Engine: the one in {folder} is updated")
    else:
        _say(f"Engine: the one in {folder} is up to date")
    if plan.accelerator:
        _say(f"  It will compute with {plan.accelerator}.")
    if plan.kept_bytes:
        certainty = "measured" if plan.measured else "an estimate, not measured"
        _say(
            f"  Download: about {plan.download_bytes / 1e9:.1f} GB. Disk space in the end: about "
            f"{plan.kept_bytes / _GIB:.1f} GiB ({certainty})."
        )
    if plan.needed_bytes:
        _say(
            f"  Free disk space needed meanwhile: {plan.needed_bytes / _GIB:.1f} GiB. There are "
            f"{plan.free_bytes / _GIB:.1f} GiB."
        )


def _show_removal(plan: RemovalPlanned) -> None:
    _say("What is removed:")
    for place in plan.places:
        _say(f"  {place}")
    if plan.weights:
        fate = {"remove": "go too", "keep": "stay", "ask": "stay, unless you want them removed"}[plan.weights_fate]
        number = f"{len(plan.weights)} file{'s' if len(plan.weights) != 1 else ''}"
        size = sum(file.size for file in plan.weights) / _MB
        _say(f"The models in {plan.weights_folder} ({number}, {size:.0f} MB) {fate}.")


def _show_gimp(gimp: GimpSeen) -> None:
    what = {
        "install": f"the plug-in goes into {gimp.folder}",
        "keep": f"the plug-in is in place in {gimp.folder}",
        "skip": "nothing is put there",
    }[gimp.action]
    packaging = f" ({gimp.packaging})" if gimp.packaging else " (program not found)"
    _say(f"{gimp.name}{packaging}: {what}")
    if gimp.note:
        _say(f"  Note: {gimp.note}")
