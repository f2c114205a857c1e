"""What text and window both say of a plan: the facts in it, sizes and places as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from installer.events import GimpSeen, Planned
from sama_core.weights.download import size_text

#: How a GIMP came here, where that tells two of them apart.
_PACKAGINGS = {
    "flatpak": "Flatpak, ",
    "snap": "Snap, ",
    "appimage": "AppImage, ",
    "store": "Microsoft Store, ",
    "": "program not found, ",
}
#: What the builds of PyTorch are for, as a photographer would say it.
_BUILDS = {
    "cpu": "for the processor",
    "cuda": "for NVIDIA graphics cards",
    "rocm": "for AMD graphics cards",
    "default": "the one made for this system",
}


@dataclass(frozen=True)
class Fact:
    """One thing that was found, or is going to be.

    Attributes:
        name: of the thing; `text` says how it stands with it, and `more` what else to know, or is "".
        state: "done" for well, "note" for worth a look, "skipped" or "failed", the last for what stands in the way.
    """

    name: str
    text: str
    more: str = ""
    state: str = "done"


def facts(plan: Planned) -> Iterator[Fact]:
    """All that a person wants to know of a plan."""
    yield from map(_gimp, plan.gimps)
    engine = {
        "use": f"the one that {plan.python} has is used",
        "make": f"is made with {plan.python}",
        "update": "is updated",
        "keep": "there, and up to date",
    }[plan.engine]
    yield Fact("Engine", engine, f"All that belongs to it goes into {plan.home}")
    if plan.accelerator:
        yield Fact("Works on", plan.accelerator, f"PyTorch {_BUILDS[plan.torch]} is used")
    if plan.download_bytes:
        about = "" if plan.measured else "This is an estimate; it has not been measured on this kind of system."
        yield Fact("Download", f"about {size_text(plan.download_bytes)}", about)
    if plan.needed_bytes:
        text = f"{size_text(plan.needed_bytes)} must be free while installing; {size_text(plan.free_bytes)} are"
        kept = f"{size_text(plan.kept_bytes)} are used in the end" if plan.kept_bytes else ""
        yield Fact("Disk", text, kept, "failed" if plan.lacks_space else "done")


def _gimp(gimp: GimpSeen) -> Fact:
    what = {
        "install": f"the plug-in goes into {gimp.folder}",
        "keep": f"the plug-in is there, and up to date, in {gimp.folder}",
        "skip": "left as it is",
    }[gimp.action]
    usual = "skipped" if gimp.action == "skip" else "done"
    return Fact(gimp.name, _PACKAGINGS.get(gimp.packaging, "") + what, gimp.note, "note" if gimp.note else usual)


def split_remedy(message: str) -> tuple[str, str]:
    """The first sentence of a message, and the rest."""
    for end in (". ", ".\n", "! ", "? "):
        head, found, rest = message.partition(end)
        if found and len(head) > 15:
            return head + found[0], rest.strip()
    return message, ""
