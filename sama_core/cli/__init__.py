"""The command line: `sama VERB …`, one module per verb.

A verb's module has `add_arguments(parser)` and `run(args) -> exit status`, and imports what is slow only in `run`.
Only the module of the verb in use is imported, so that `sama --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import traceback
from types import ModuleType

from sama_core import __version__
from sama_core.errors import SamaError
from sama_core.inference import compile_caches

VERBS = {
    "select": "click on a thing in a photo and write a soft selection",
    "matte": "click on a thing in a photo and write its cut-out or alpha matte",
    "batch": "cut the things out of a folder of photos, by prompts in a file",
    "weights": "list, download, check and remove the models' weights",
    "serve": "run the engine that GIMP talks to, in the foreground",
    "doctor": "check that everything is in place, and say what to do where it is not",
    "info": "say what a model is made of, how large SAMA is beside SAM, and where the files are",
    "train": "train a model on a folder of photos and masks",
    "evaluate": "measure a model",
}

#: exit statuses
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run `sama` and return its exit status: 0 done, 1 failed, 2 the request cannot be met as it stands."""
    arguments = sys.argv[1:] if arguments is None else arguments
    module: ModuleType | None = None
    parser = argparse.ArgumentParser(
        prog="sama", description="Click on a thing in a photo and get it, cut to the hair."
    )
    parser.add_argument("--version", action="version", version=f"sama {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if arguments[:1] == [name]:
            module = importlib.import_module(f"sama_core.cli.{name}")
            module.add_arguments(verb)
    options = parser.parse_args(_with_negative_numbers(arguments))
    assert module is not None, "argparse lets no command line without a verb pass"
    try:
        with compile_caches.inductor_prepared():
            return module.run(options)
    except SamaError as error:
        _complain(str(error))
        return BAD_USAGE if error.status < 499 else FAILED
    except KeyboardInterrupt:
        _complain("Stopped; nothing was written.")
        return INTERRUPTED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror or error}. Check the place and its permissions.")
        return FAILED
    except MemoryError:
        _complain("There is not enough memory. Close other programs or make the picture smaller.")
        return FAILED
    except Exception as error:
        traceback.print_exc()
        _complain(f"An unexpected problem ({type(error).__name__}). Please report it with the lines above.")
        return FAILED


def _with_negative_numbers(arguments: list[str]) -> list[str]:
    """Bind “-5,10” to the option before it: argparse would take it for an option of its own."""
    bound: list[str] = []
    for argument in arguments:
        if re.match(r"-\.?\d", argument) and bound and re.fullmatch(r"--[a-z-]+", bound[-1]):
            bound[-1] += f"={argument}"
        else:
            bound.append(argument)
    return bound


def _complain(text: str) -> None:
    print(f"sama: {text}", file=sys.stderr)
