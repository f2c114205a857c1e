"""What a check of the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass

REINSTALL = "Run the installer again; it repairs what is missing."


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, whether it is well, what was found, and what to do if it is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
