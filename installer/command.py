"""The installer's command line."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from installer import checkout
from installer.environment import GIB
from installer.failures import InstallError
from installer.installation import Wishes, install
from installer.removal import uninstall
from installer.repair import repair


def main(arguments: list[str] | None = None) -> int:
    """Run the installer; return 0 when done, 1 when not (with the reason on stderr). Wrong usage exits: 2."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot show an arrow gets a question mark, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    # Being asked to end is no reason to leave half an installation: unwind as for Ctrl+C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.uninstall:
            return uninstall(options.dry_run, _remove_weights(options))
        return (repair if options.repair else install)(_wishes(options))
    except InstallError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{error}. Correct that and run this again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _remove_weights(options: argparse.Namespace) -> bool | None:
    if options.weights is None and options.yes:
        # Downloaded again they are gigabytes, and those of one's own training are lost for good.
        return False
    return options.weights


def _wishes(options: argparse.Namespace) -> Wishes:
    return Wishes(
        forced_profiles=[_profile(folder.expanduser().absolute()) for folder in options.gimp_profile],
        python=options.python,
        package=(options.package or checkout.ROOT).expanduser().absolute(),
        needed_bytes=None if options.need_free is None else int(options.need_free * GIB),
        ask=not options.yes,
        dry_run=options.dry_run,
        check=options.self_check,
    )


def _profile(folder: Path) -> Path:
    # GIMP's preferences show the folder of the plug-ins, so that is what people copy.
    return folder.parent if folder.name == "plug-ins" else folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.py",
        description="Install SAMA for GIMP for the current user: the plug-in into GIMP's profile, "
        "the engine into a folder of its own.",
    )
    parser.add_argument("--uninstall", action="store_true", help="remove all that was installed")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="look at every installed file and put back what is missing or changed; settings and models stay",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--keep-weights",
        dest="weights",
        action="store_false",
        default=None,
        help="with --uninstall: leave the models that were downloaded, without asking",
    )
    weights.add_argument(
        "--remove-weights",
        dest="weights",
        action="store_true",
        help="with --uninstall: remove them too, without asking",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask; uninstalling keeps the models then")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument(
        "--gimp-profile",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="GIMP's settings folder to install into, instead of those found (may be repeated)",
    )
    parser.add_argument(
        "--python",
        metavar="EXE",
        help="use this Python, which has the engine installed, instead of making an environment",
    )
    parser.add_argument(
        "--package",
        metavar="PATH",
        type=Path,
        help="install the engine from this wheel or folder instead of this checkout",
    )
    parser.add_argument(
        "--need-free",
        metavar="GIB",
        type=float,
        help="insist on this much free disk space instead of the measured figure",
    )
    parser.add_argument(
        "--no-self-check",
        dest="self_check",
        action="store_false",
        help="do not try the engine and GIMP at the end",
    )
    return parser
