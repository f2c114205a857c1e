"""Where this machine's own apt gets Debian from: the only mirror that may be assumed reachable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

APT = Path("/etc/apt")
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Suites of the main Debian archive, which carries every release side by side.
SUITES = {
    *("buster", "bullseye", "bookworm", "trixie", "forky", "sid"),
    *("oldoldstable", "oldstable", "stable", "testing", "unstable"),
}


class NoMirror(Exception):
    """This machine's apt configuration names no Debian mirror."""


@dataclass(frozen=True)
class Source:
    """One archive: its URI as apt takes it (`mirror+file:` included) and the suites taken from it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def debian_mirror(apt: Path = APT) -> str:
    """Return the URI of the first Debian archive that apt is set up to use.

    Raises:
        NoMirror: there is none.
    """
    for source in configured_sources(apt):
        if "main" in source.components and SUITES.intersection(source.suites):
            return source.uri
    raise NoMirror(
        f"No Debian mirror is set up in {apt}, so GIMP 3 cannot be fetched. "
        "Install GIMP 3 on this machine, or add a Debian source to apt."
    )


def configured_sources(apt: Path = APT) -> list[Source]:
    """Read the `deb` entries of `sources.list` and `sources.list.d`, in one-line and in deb822 format."""
    sources = []
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".list":
            sources += parse_one_line(text)
        elif file.suffix == ".sources":
            sources += parse_deb822(text)
    return sources


def parse_one_line(text: str) -> list[Source]:
    """Parse `deb [options] URI suite component...` lines."""
    sources = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if not words or words[0] != "deb":
            continue
        words = words[1:]
        if words and words[0].startswith("["):
            while words and not words[0].endswith("]"):
                words = words[1:]
            words = words[1:]
        if len(words) >= 3:
            sources.append(Source(words[0], (words[1],), tuple(words[2:])))
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Parse stanzas of `Field: value` with continuation lines."""
    sources = []
    # A line that starts with # is a comment even in the middle of a stanza, and does not end it.
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(line if line.strip() else "" for line in lines).split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "off", "0", "without", "disable"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        suites = tuple(fields.get("suites", "").split())
        components = tuple(fields.get("components", "").split())
        sources += [Source(uri, suites, components) for uri in fields.get("uris", "").split()]
    return sources
