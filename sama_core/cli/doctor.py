"""`sama doctor`: look at everything the product needs, and say what to do where something is amiss."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sama_core.cli.report import Check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama doctor`."""
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="also write a report to attach to a bug report, without names, personal paths and pictures",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0 only if all is well."""
    from sama_core.cli.checks import all_checks
    from sama_core.cli.report import check_place, write_report

    if args.report is not None:
        check_place(args.report)
    findings: list[Check] = []
    for check in all_checks():
        findings.append(check)
        if not args.json:
            _show(check)
    well = all(check.ok for check in findings)
    if args.report is not None:
        write_report(args.report, findings)
    if args.json:
        print(json.dumps({"ok": well, "checks": [asdict(check) for check in findings]}, indent=2))
    elif well:
        print("All is well.")
    else:
        amiss = sum(not check.ok for check in findings)
        print(f"{amiss} of {len(findings)} checks failed; the lines that begin with an arrow say what to do.")
    if args.report is not None and not args.json:
        print(f"The report is in {args.report}. Read it through before you send it.")
    return 0 if well else 1


def _show(check: Check) -> None:
    good, bad, arrow = ("✓", "✗", "→") if _can_print("✓✗→") else ("ok", "NO", "->")
    print(f"{good if check.ok else bad} {check.name}: {check.detail}", flush=True)
    if not check.ok:
        print(f"  {arrow} {check.remedy}", flush=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
