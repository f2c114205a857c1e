"""The installer, killed with all its programs at one moment: `killed_at.py MOMENT OPTIONS…`, or `MOMENT --uninstall`.

MOMENT is "event N" (when the Nth event is told) or "change N" (before the Nth change to a file). Without a kill at that
moment it ends as the installer does. It prints how many events and changes there were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from installer import cli
from installer.events import Event, Planned, RemovalPlanned
from installer.steps import FrontEnd, Stop

#: What Python tells its audit hooks before it changes something on the disk, or starts a program that may.
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.link", "os.symlink", "subprocess.Popen"}


class Killer(FrontEnd):
    def __init__(self, kind: str, number: int) -> None:
        self.counts = {"event": 0, "change": 0}
        self.at = (kind, number)
        self.armed = False

    def count(self, kind: str) -> None:
        self.counts[kind] += 1
        if self.at == (kind, self.counts[kind]):
            os.killpg(0, signal.SIGKILL)

    def audit(self, name: str, details: tuple) -> None:
        if not self.armed:
            return
        writes = name == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or name in CHANGES:
            self.count("change")

    def tell(self, event: Event) -> None:
        self.count("event")
        # Looking at the computer, before the plan, starts programs too, but changes nothing.
        self.armed = self.armed or isinstance(event, (Planned, RemovalPlanned))


if __name__ == "__main__":
    kind, number = sys.argv[1].split()
    killer = Killer(kind, int(number))
    sys.addaudithook(killer.audit)
    status = cli.carry_out(cli.parsed(sys.argv[2:]), killer, Stop())
    print(*killer.counts.values())
    sys.exit(status)
