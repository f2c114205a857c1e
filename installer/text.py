"""The installation in a terminal."""

from __future__ import annotations

import sys
from collections import deque

from installer import events
from installer.events import InstallError, Planned, RemovalPlanned
from installer.steps import FrontEnd
from installer.wording import facts
from sama_core.weights.download import size_text

#: How many lines of a program's own words are shown when its step fails.
_LAST_WORDS = 25


class TextFrontEnd(FrontEnd):
    """Prints what is done; a step's own details only where it takes long or fails."""

    def __init__(self) -> None:
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._meter = Meter()

    def tell(self, event: events.Event) -> None:
        """Print the event."""
        if isinstance(event, events.Progress):
            self._meter.show(event)
            return
        self._meter.end()
        if isinstance(event, events.Log):
            self._words.append(event.text)
        elif isinstance(event, Planned):
            _show_plan(event)
        elif isinstance(event, RemovalPlanned):
            _show_removal(event)
        elif isinstance(event, events.StepStarted) and event.step != "look":
            self._words.clear()
            _say(f"[{event.number}/{event.count}] {event.title} …")
        elif isinstance(event, events.StepFailed):
            for line in self._words:
                print(f"  | {line}", file=sys.stderr)
        elif isinstance(event, events.Note):
            _say(f"  {'Warning' if event.warning else 'Note'}: {event.text}")
        elif isinstance(event, events.Finding):
            _say(f"  {event.subject}: {'FAILED. ' if event.ok is False else ''}{event.text}")
            if event.picture:
                _say(f"  What it found, to look at: {event.picture}")
        elif isinstance(event, events.TakingBack):
            print("This run cannot come to its end. What it has made is being taken away again …", file=sys.stderr)
        elif isinstance(event, events.Finished):
            print(f"\n{event.message}", file=sys.stderr if event.status else sys.stdout, flush=True)

    def agrees(self, plan: Planned) -> bool:
        """Ask whether to go on.

        Raises:
            InstallError: there is nobody to ask.
        """
        agreed = says_yes("\nGo on? [Y/n] ", unsaid=True)
        if agreed is None:
            raise InstallError("There is nobody to ask. Give --yes to install without asking.")
        return agreed

    def wants_models(self, plan: Planned) -> tuple[str, ...]:
        """Show the models that can be had, and ask; none where nobody answers."""
        _say("\nThe model that comes with SAMA is all you need to begin. These larger ones can be downloaded too:")
        known = [offer.name for offer in plan.models]
        for offer in plan.models:
            _say(f"  {offer.name}: {size_text(offer.missing)}, licence {offer.licence}; needs {offer.needs}")
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
            _say(f"  {file.name}, {size_text(file.size)}")
        question = "Remove them too? Models of your own training cannot be downloaded again. [y/N] "
        agreed = says_yes(question, unsaid=False)
        if agreed is None:
            _say("There is nobody to ask, so they stay. --remove-weights removes them.")
        return bool(agreed)


def says_yes(question: str, unsaid: bool) -> bool | None:
    """Ask in the terminal; return the answer, `unsaid` for a mere Enter, and None where nobody answers."""
    try:
        answer = input(question).strip().lower()
    except EOFError:
        print()
        return None
    return answer in ("y", "yes") or (unsaid and not answer)


class Meter:
    """One line that shows how far a download is; on a terminal it is written over, elsewhere it stays away."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, event: events.Progress) -> None:
        """Write the line."""
        if not sys.stdout.isatty():
            return
        of = f" of {size_text(event.total)} ({100 * event.done // event.total} %)" if event.total else ""
        line = f"  {size_text(event.done)}{of}  {event.text}"[:100]
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
    for fact in facts(plan):
        _say(f"{fact.name}: {fact.text}")
        if fact.more:
            _say(f"  {fact.more}")


def _show_removal(plan: RemovalPlanned) -> None:
    _say("What is removed:")
    for place in plan.places:
        _say(f"  {place}")
    if plan.weights:
        fate = {"remove": "go too", "keep": "stay", "ask": "stay, unless you want them removed"}[plan.weights_fate]
        number = f"{len(plan.weights)} file{'s' if len(plan.weights) != 1 else ''}"
        size = size_text(sum(file.size for file in plan.weights))
        _say(f"The models in {plan.weights_folder} ({number}, {size}) {fate}.")
