"""`sama weights`: the models' files: list them, fetch, take, check and remove them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sama_core.weights.registry import ModelInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sama weights`."""
    from sama_core.weights.registry import MODELS

    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    optional = [model.name for model in MODELS.values() if model.optional]
    listing = what.add_parser("list", help="the models: size, licence, what they need, and whether they are here")
    get = what.add_parser("get", help="download a model's weights; a download that was stopped goes on")
    get.add_argument("model", choices=optional, metavar="MODEL", help=", ".join(optional))
    get.add_argument(
        "--mirror",
        metavar="URL",
        action="append",
        default=[],
        help="folder on the web to ask before the known ones; repeatable",
    )
    take = what.add_parser("take", help="use a file that you have already, once it has been checked")
    take.add_argument("model", choices=optional, metavar="MODEL", help=", ".join(optional))
    take.add_argument("file", type=Path, metavar="FILE", help="the official file of that model")
    take.add_argument("--link", action="store_true", help="do not copy it; it must stay where it is")
    verify = what.add_parser("verify", help="check the checksums of the files that are here")
    verify.add_argument("models", nargs="*", metavar="MODEL", help="default: all that are here")
    remove = what.add_parser("remove", help="remove a model's weights")
    remove.add_argument("model", choices=optional, metavar="MODEL", help=", ".join(optional))
    for one in (listing, get, take, verify, remove):
        one.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    actions = {"list": _list, "get": _get, "take": _take, "verify": _verify, "remove": _remove}
    return actions[args.what](args)


def _list(args: argparse.Namespace) -> int:
    from sama_core.weights.download import size_text
    from sama_core.weights.registry import MODELS
    from sama_core.weights.store import presence

    if args.json:
        print(json.dumps({"models": [_described(model) for model in MODELS.values()]}, indent=2))
        return 0
    for model in MODELS.values():
        found = presence(model)
        if not model.optional:
            state = "here, comes with SAMA" if found.present else "damaged: run the installer again to repair it"
        elif found.present:
            state = "here"
        elif found.wrong_size:
            state = f"damaged ({size_text(found.wrong_size)}): fetch it again with: sama weights get {model.name}"
        elif found.partial:
            state = f"{size_text(found.partial)} are here; go on with: sama weights get {model.name}"
        else:
            state = f"not here; fetch it with: sama weights get {model.name}"
        print(f"{model.name}: {model.title}. {model.summary}.")
        print(f"  {size_text(model.size)}, {model.licence}; needs {model.needs}")
        print(f"  {state}")
    return 0


def _get(args: argparse.Namespace) -> int:
    from sama_core.cli import INTERRUPTED
    from sama_core.weights import store
    from sama_core.weights.download import size_text
    from sama_core.weights.registry import info

    model = info(args.model)
    meter = _Meter(args.json)
    try:
        store.get(model, tuple(args.mirror), meter.show)
    except KeyboardInterrupt:
        meter.clear()
        kept = size_text(store.presence(model).partial)
        print(f"sama: Stopped; {kept} are kept. The same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    finally:
        meter.clear()
    return _here(args, model)


def _take(args: argparse.Namespace) -> int:
    from sama_core.weights import store
    from sama_core.weights.registry import info

    model = info(args.model)
    meter = _Meter(args.json)
    try:
        store.take(model, args.file, args.link, meter.show)
    finally:
        meter.clear()
    return _here(args, model)


def _verify(args: argparse.Namespace) -> int:
    from sama_core.weights import store
    from sama_core.weights.registry import MODELS, info

    models = [info(name) for name in args.models] or [
        model for model in MODELS.values() if not model.optional or model.weights.is_file()
    ]
    meter = _Meter(False)
    verdicts: dict[str, bool] = {}
    for model in models:
        try:
            verdicts[model.name] = store.is_right(model, meter.show)
        finally:
            meter.clear()
        if args.json:
            continue
        if verdicts[model.name]:
            print(f"{model.name}: checksum right")
        elif model.weights.is_file():
            print(f"{model.name}: damaged, its checksum is wrong. {model.remedy}")
        else:
            print(f"{model.name}: not here. {model.remedy}")
    if args.json:
        print(json.dumps({"ok": all(verdicts.values()), "models": verdicts}, indent=2))
    return 0 if all(verdicts.values()) else 1


def _remove(args: argparse.Namespace) -> int:
    from sama_core.weights import store
    from sama_core.weights.download import size_text
    from sama_core.weights.registry import info

    freed = store.remove(info(args.model))
    if args.json:
        print(json.dumps({"model": args.model, "freed": freed}))
    else:
        print(f"{args.model}: removed, {size_text(freed)} freed" if freed else f"{args.model}: nothing was here")
    return 0


def _here(args: argparse.Namespace, model: ModelInfo) -> int:
    if args.json:
        print(json.dumps({"event": "done", "model": model.name, "path": str(model.weights)}), flush=True)
    else:
        print(f"{model.name} is here: {model.weights}")
    return 0


def _described(model: ModelInfo) -> dict[str, Any]:
    from sama_core.weights.store import presence

    found = presence(model)
    return {
        "name": model.name,
        "title": model.title,
        "summary": model.summary,
        "size": model.size,
        "licence": model.licence,
        "needs": model.needs,
        "sha256": model.sha256,
        "bundled": not model.optional,
        "path": str(model.weights),
        "present": found.present,
        "damaged": found.wrong_size > 0,
        "partial": found.partial,
    }


class _Meter:
    """Bytes, speed and the time left, on the terminal's line; or lines of JSON, a few a second."""

    def __init__(self, as_json: bool) -> None:
        from sama_core.cli.prompting import ProgressLine

        self._json = as_json
        self._line = ProgressLine()
        self._shown = 0.0
        self._text = ""
        self._began = (time.monotonic(), 0)

    def show(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if text != self._text:
            self._text, self._began = text, (now, done)
        elif now - self._shown < 0.25 and done < total:
            return
        self._shown = now
        if self._json:
            print(json.dumps({"event": "progress", "done": done, "total": total, "text": text}), flush=True)
        else:
            self._line.show(done / total, f"{text}{self._pace(now, done, total)}")

    def clear(self) -> None:
        self._line.clear()

    def _pace(self, now: float, done: int, total: int) -> str:
        from sama_core.weights.download import size_text

        began, first = self._began
        if now - began < 2 or done <= first:
            return ""
        speed = (done - first) / (now - began)
        minutes, seconds = divmod(round((total - done) / speed), 60)
        return f"  {size_text(done)} of {size_text(total)}, {size_text(round(speed))}/s, {minutes}:{seconds:02} left"
