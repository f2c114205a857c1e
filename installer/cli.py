"""The installer's command line."""

from __future__ import annotations

import argparse
import signal
import sys
import webbrowser
from pathlib import Path

from installer import package, self_check, window_launch
from installer.apply import install
from installer.events import Finished, InstallError, sentence
from installer.json_lines import JsonFrontEnd
from installer.plan import Wishes, check_home, home_folder
from installer.removal import uninstall
from installer.repair import repair
from installer.steps import FrontEnd, Stop, Stopped
from installer.text import TextFrontEnd, says_yes
from installer.torch_builds import GIB, NAMES
from installer.window_launch import NoWindow


def main(arguments: list[str] | None = None) -> int:
    """Run the installer; return 0 when done, 1 when not (with the reason on stderr). Wrong usage exits: 2."""
    options = parsed(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot show an arrow gets a question mark, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    # Being asked to end is no reason to leave half an installation: unwind as for Ctrl+C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stop = Stop()
    asks = not (options.yes or options.dry_run or (options.uninstall and options.weights is not None))
    front = JsonFrontEnd(stop, asks) if options.json else TextFrontEnd()
    in_text = options.text or options.json or options.yes or options.dry_run or options.repair or options.uninstall
    if not in_text:
        try:
            return _in_a_window(sys.argv[1:] if arguments is None else arguments)
        except NoWindow as reason:
            print(f"{reason} Going on in text.\n", flush=True)
        except (InstallError, OSError, KeyboardInterrupt) as error:
            print(sentence(error), file=sys.stderr)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
    status = carry_out(options, front, stop)
    if options.self_check and not (options.json or options.yes or options.dry_run or options.uninstall):
        picture = self_check.result_picture()
        at_terminal = sys.stdin is not None and sys.stdin.isatty()
        if at_terminal and picture.is_file() and says_yes(f"\nShow {picture.name} now? [y/N] ", unsaid=False):
            webbrowser.open(picture.as_uri())
    return status


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options in a command line; wrong usage exits."""
    options = _parser().parse_args(arguments)
    if options.weights is None and options.yes:
        # Downloaded again they are gigabytes, and those of one's own training are lost for good.
        options.weights = False
    return options


def carry_out(options: argparse.Namespace, front: FrontEnd, stop: Stop) -> int:
    """Do what the options say, tell it all to `front`, and return the exit status.

    Nothing that goes wrong is raised: it is told. After a failure to install nothing was changed, or all of it was
    taken back.
    """
    try:
        if options.uninstall:
            end = uninstall(front, options.weights, options.dry_run, options.keep_window)
        else:
            end = (repair if options.repair else install)(_wishes(options), front, stop)
    except (Stopped, KeyboardInterrupt) as error:
        end = Finished(130, False, sentence(error))
    except (InstallError, OSError) as error:
        end = Finished(1, False, sentence(error))
    front.tell(end)
    return end.status


def _in_a_window(options: list[str]) -> int:
    """Install in a window.

    Raises:
        NoWindow: there can be none.
    """
    window_launch.check_screen()
    home = home_folder()
    check_home(home)
    status, under_way = window_launch.show(home, options)
    if not under_way:
        return status
    print("The window ended unexpectedly. What it was doing goes on here, without it.", file=sys.stderr, flush=True)
    return main([*under_way, "--text"])


def _wishes(options: argparse.Namespace) -> Wishes:
    return Wishes(
        forced_profiles=list(map(_profile, options.gimp_profile)),
        python=options.python,
        package=options.package or package.shipped(),
        needed_bytes=None if options.need_free is None else int(options.need_free * GIB),
        ask=not options.yes,
        dry_run=options.dry_run,
        check=options.self_check,
        torch=options.torch,
        wheels=_wheel_folders(options),
        newest=options.newest,
        models=_models(options),
        # Each of these is about an environment that the installer makes.
        own_environment=bool(options.own_environment or options.package or options.torch or options.offline),
        base=options.base,
    )


def _models(options: argparse.Namespace) -> tuple[str, ...] | None:
    if not options.offline:
        return tuple(options.model) or None
    for wish in options.model:
        if "=" not in wish:
            raise InstallError(f"With --offline no model is downloaded. Name its file: --model {wish}=FILE.")
    # None are offered, either.
    return tuple(options.model)


def _wheel_folders(options: argparse.Namespace) -> tuple[Path, ...]:
    if not options.offline:
        return ()
    if options.wheels:
        return tuple(options.wheels)
    usual = [folder / "wheels" for folder in (package.ROOT, package.ROOT.parent)]
    found = tuple(folder for folder in usual if folder.is_dir())
    if not found:
        raise InstallError(
            f"--offline takes the engine's parts from a folder called wheels in {usual[0].parent} or beside it, and "
            "there is none. See docs/install.md, “Without a network”, or name a folder with --wheels."
        )
    return found


def _profile(folder: Path) -> Path:
    # GIMP's preferences show the folder of the plug-ins, so that is what people copy.
    return folder.parent if folder.name == "plug-ins" else folder


def _place(name: str) -> Path:
    return Path(name).expanduser().absolute()


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
    # The window cannot take away what it runs from; its launcher does that when it is closed.
    parser.add_argument("--keep-window", action="store_true", help=argparse.SUPPRESS)
    # And what it makes environments with is the Python that the person chose to start the installer with, not its own.
    parser.add_argument("--base", default=sys.executable, help=argparse.SUPPRESS)
    parser.add_argument("--yes", action="store_true", help="do not ask; uninstalling keeps the models then")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument(
        "--gimp-profile",
        metavar="FOLDER",
        type=_place,
        action="append",
        default=[],
        help="GIMP's settings folder to install into, instead of those found (may be repeated)",
    )
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument(
        "--python",
        metavar="EXE",
        help="use this Python, which has the engine installed, instead of making an environment; later runs keep to it",
    )
    engine.add_argument(
        "--own-environment",
        action="store_true",
        help="make an environment for the engine, also where --python was given before",
    )
    parser.add_argument(
        "--package",
        metavar="PATH",
        type=_place,
        help="install the engine from this wheel or folder instead of this checkout",
    )
    parser.add_argument(
        "--torch", choices=NAMES, help="install this build of PyTorch instead of the one that fits this computer"
    )
    parser.add_argument(
        "--newest",
        action="store_true",
        help="take the newest versions of what the engine needs instead of those that SAMA was tested with",
    )
    parser.add_argument(
        "--model",
        metavar="NAME[=FILE]",
        action="append",
        default=[],
        help="download this larger model too, or take it from the file, such as sam2.1_tiny or vit_b (may be repeated)",
    )
    parser.add_argument(
        "--offline", action="store_true", help="take everything from a folder, nothing from the network"
    )
    parser.add_argument(
        "--wheels",
        metavar="FOLDER",
        type=_place,
        action="append",
        default=[],
        help="the folder for --offline (may be repeated)",
    )
    parser.add_argument("--text", action="store_true", help="work in this terminal, without a window")
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object a line")
    parser.add_argument(
        "--need-free",
        metavar="GIB",
        type=float,
        help="insist on this much free disk space instead of the measured figure",
    )
    parser.add_argument(
        "--no-self-check", dest="self_check", action="store_false", help="do not try the engine and GIMP at the end"
    )
    return parser
