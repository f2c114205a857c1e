"""Larger models: which there are, and having them downloaded or taken from a file, by the engine's own command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from installer.child_processes import run_quietly, run_watched
from installer.events import InstallError, ModelOffer, Note
from installer.steps import Steps


def offers(python: Path, package: Path, bundled: bool = False) -> tuple[ModelOffer, ...]:
    """Return the models that can be downloaded; none for an engine that knows of none.

    Args:
        python: any that the engine could run in; nothing but the engine's own modules is needed.
        package: what the engine is installed from: at first there is no engine to ask yet.
        bundled: also those that come with SAMA.
    """
    command = [str(python), "-m", "sama_core.cli", "weights", "list", "--json"]
    models = json_object(run_quietly(command, {"PYTHONPATH": str(package)}).stdout).get("models", [])
    return tuple(_offer(model) for model in models if bundled or not model["bundled"])


def fetch(python: Path, wanted: Sequence[str], steps: Steps) -> dict[str, str]:
    """Have the models; return those that could not be had, with the reason. SAMA works without them.

    Args:
        python: of the engine that is installed.
        wanted: names, or NAME=FILE for a file that is here already.
        steps: where it is told.

    Raises:
        Stopped: the person wishes so; what has come is kept for the next time.
    """
    missing = {}
    for wish in wanted:
        name, _, file = wish.partition("=")
        action = ["take", name, str(Path(file).expanduser().absolute())] if file else ["get", name]
        status, said = run_watched(
            [str(python), "-m", "sama_core.cli", "weights", *action, "--json"],
            steps,
            hear=lambda line: _hear(line, steps),
        )
        if status != 0:
            missing[name] = said[-1].removeprefix("sama: ") if said else f"It ended with status {status}."
            steps.tell(Note(f"{name}: {missing[name]}", warning=True))
    return missing


def not_here(wanted: Sequence[str], offered: Sequence[ModelOffer]) -> tuple[str, ...]:
    """Return the wishes, NAME or NAME=FILE, for models that are not here yet.

    Raises:
        InstallError: one is for a model that is not offered.
    """
    known = {offer.name: offer for offer in offered}
    names = {wish: wish.partition("=")[0] for wish in wanted}
    for name in names.values():
        if name not in known:
            there = ", ".join(known) or "none"
            raise InstallError(f"There is no model “{name}”. Those to be had: {there}. Correct --model.")
    return tuple(wish for wish, name in names.items() if known[name].missing)


def _hear(line: str, steps: Steps) -> None:
    data = json_object(line)
    if "done" in data:
        steps.progress(int(data["done"]), int(data["total"]), str(data.get("text", "")))
    else:
        steps.log(line)


def _offer(model: dict[str, Any]) -> ModelOffer:
    size = int(model["size"])
    here = model["present"] or model["bundled"]
    missing = 0 if here else max(1, size - int(model["partial"]))
    summary = str(model["summary"])
    title = str(model.get("title") or summary.partition(",")[0])
    return ModelOffer(str(model["name"]), title, summary, size, missing, str(model["licence"]), str(model["needs"]))


def json_object(text: str) -> dict[str, Any]:
    """What a line of output says, empty where it is no JSON object."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
