"""Audit the packages that the engine is made of, as requirements.lock names them.

Asks pip-audit for known weaknesses of the locked versions when it is installed and reaches its data; says so when it
does not. Always sees that every package the engine asks for is locked, with hashes, and is here in the locked version.

usage: audit.py
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def main() -> int:
    """Return 0 when nothing was found."""
    problems = [*unlocked(), *differing(), *weaknesses()]
    for problem in problems:
        print(f"audit: {problem}", file=sys.stderr)
    if not problems:
        print(f"audit: {len(locked())} packages; this environment has the versions of requirements.lock.")
    return 1 if problems else 0


def locked() -> dict[Requirement, int]:
    """The lines of the lock that matter on this machine, and how many hashes each has."""
    found = {}
    for entry in re.split(r"\n(?=\S)", LOCK.read_text(encoding="utf-8")):
        requirement = Requirement(entry.split("\\\n")[0]) if not entry.startswith("#") else None
        if requirement is not None and (requirement.marker is None or requirement.marker.evaluate()):
            found[requirement] = entry.count("--hash=sha256:")
    return found


def unlocked() -> list[str]:
    """Packages that the engine asks for and the lock does not name, or of which any file would be taken."""
    names = {canonicalize_name(requirement.name) for requirement in locked()}
    asked = [Requirement(line) for line in importlib.metadata.requires("sama-gimp") or []]
    missing = [
        f"{requirement.name} is not in requirements.lock: run “make lock”"
        for requirement in asked
        if (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
        and canonicalize_name(requirement.name) not in names
    ]
    return missing + [
        f"{requirement.name} has no hash in requirements.lock" for requirement, hashes in locked().items() if not hashes
    ]


def differing() -> list[str]:
    """Packages that are here in another version than the lock's, or not at all."""
    problems = []
    for requirement in locked():
        try:
            here = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            here = "missing"
        if here not in requirement.specifier:
            problems.append(f"{requirement.name} is {here} here and {requirement.specifier} in requirements.lock")
    return problems


def weaknesses() -> list[str]:
    """What pip-audit knows of the locked versions."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--disable-pip", "--no-deps"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    done = subprocess.run([*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        print("audit: pip-audit is not here, or cannot reach its data: known weaknesses were not looked up.")
    return [
        f"{package['name']} {package['version']} has {weakness['id']}; mended in {weakness['fix_versions']}"
        for package in audited
        for weakness in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main())
