"""The installation for programs: events on stdout and answers on stdin, one JSON object a line (`installer.events`)."""

from __future__ import annotations

import json
import queue
import sys
import threading

from installer.events import Event, InstallError, Planned, RemovalPlanned
from installer.steps import FrontEnd, Stop

#: The questions, by the names that their answers have.
_AGREE, _GIVE_UP = "agree", "remove_weights"


class JsonFrontEnd(FrontEnd):
    """Writes the events, and listens for answers.

    Args:
        stop: requested when the program says so, or is gone.
        asks: somebody is to answer on stdin; the end of stdin means then that nobody is there any more.
    """

    def __init__(self, stop: Stop, asks: bool) -> None:
        self._stop = stop
        self._asks = asks
        self._models: tuple[str, ...] = ()
        self._answers: queue.Queue[tuple[str, bool] | None] = queue.Queue()
        if sys.stdin is not None:
            threading.Thread(target=self._listen, daemon=True).start()
        elif asks:
            self._answers.put(None)

    def tell(self, event: Event) -> None:
        """Write the event."""
        try:
            print(json.dumps(event.as_json()), flush=True)
        except OSError:
            # Nobody reads any more: a window that died, say. Whoever wanted no questions wants it done all the same.
            if self._asks:
                self._stop.request()

    def agrees(self, plan: Planned) -> bool:
        """Wait for the answer.

        Raises:
            InstallError: stdin ended without one.
            Stopped: the program wants a stop.
        """
        return self._answer(_AGREE, "Give --yes to install without asking.")

    def wants_models(self, plan: Planned) -> tuple[str, ...]:
        """What the program said when it agreed."""
        return self._models

    def gives_up(self, plan: RemovalPlanned) -> bool:
        """Wait for the answer.

        Raises:
            InstallError: stdin ended without one.
            Stopped: the program wants a stop.
        """
        return self._answer(_GIVE_UP, "Give --keep-weights or --remove-weights to remove SAMA without asking.")

    def _answer(self, question: str, otherwise: str) -> bool:
        while True:
            try:
                answer = self._answers.get(timeout=0.2)
            except queue.Empty:
                self._stop.check()
                continue
            if answer is None:
                raise InstallError(f"There is nobody to ask. {otherwise}")
            if answer[0] == question:
                return answer[1]

    def _listen(self) -> None:
        for line in sys.stdin:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if not isinstance(said, dict):
                continue
            if said.get("stop") is True:
                self._stop.request()
            if isinstance(said.get("models"), list):
                self._models = tuple(map(str, said["models"]))
            for question in (_AGREE, _GIVE_UP):
                if isinstance(said.get(question), bool):
                    self._answers.put((question, said[question]))
        if self._asks:
            self._answers.put(None)
            self._stop.request()
