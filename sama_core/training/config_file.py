"""Settings as TOML files: a file says what differs from the defaults, a run's folder keeps all of it.

TOML has no null: None is written "none", so a text cannot be that word.
"""

from __future__ import annotations

import difflib
import errno
import json
import sys
import typing
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sama_core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

_NONE = "none"
#: Letters of a value or a name that a message shows.
_SHOWN = 100


class Settings(BaseModel):
    """What a table of a file may hold; types are kept apart, unknown names refused, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def load_config(path: Path, cls: type[S], **overrides: Any) -> S:
    """Read a config file.

    Args:
        path: a TOML file. Paths in it are kept as they are written, so relative ones count from the working folder.
        cls: the settings to make.
        overrides: settings of the outermost table that count instead of the file's.

    Raises:
        ConfigError: the file cannot be read, is no TOML, has a setting that `cls` lacks (the nearest one is named),
            lacks one that has no default, or has a value that `cls` refuses.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is not a file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The config file {path} cannot be read: {reason}. Check its name.") from error
    return parse_config(text, cls, str(path), **overrides)


def parse_config(text: str, cls: type[S], source: str = "config", **overrides: Any) -> S:
    """Read settings from TOML text; `source` names it in messages. The rest is as in `load_config`."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the parser's own error is a ValueError; numbers raise plain ones
        reason = _short(str(error) if isinstance(error, ValueError) else "lists or tables are too deep")
        raise ConfigError(f"{source} is no valid TOML: {reason}. Texts go in quotes, lists in [ ].") from error
    plain = {key: _plain(value, key, source) for key, value in (table | overrides).items()}
    try:
        # as JSON, in whose strict mode a list is a tuple and a text a path, but no text a number
        return cls.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(error, cls)}.") from error


def save_config(config: Settings, path: Path) -> None:
    """Write every setting, also those at their defaults; `load_config` gives an equal one back."""
    path.write_text(format_config(config), encoding="utf-8")


def format_config(config: Settings) -> str:
    """Return settings as TOML text."""
    return "\n".join(_lines(config.model_dump(mode="json"), "")).lstrip("\n") + "\n"


def _plain(value: Any, where: str, source: str) -> Any:
    """A value of TOML as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item, f"{where}.{key}", source) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{place}]", source) for place, item in enumerate(value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{source}: {_short(where)} has a number beyond the 64 bits of TOML's.")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{source}: {_short(where)} has a zero byte, which no text may hold.")
    if isinstance(value, (bool, int, float, str)):
        return None if value == _NONE else value
    raise ConfigError(f"{source}: {_short(where)} must not be a date or time. Put it in quotes if it is text.")


def _sentence(error: ValidationError, cls: type[Settings]) -> str:
    """What is wrong first, and what is expected there."""
    first = error.errors(include_url=False)[0]
    place, kind, message = first["loc"], first["type"], first["msg"]
    where = _short("".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip("."))
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        fields = _fields(cls, place[:-1])
        near = difflib.get_close_matches(str(place[-1])[:_SHOWN], fields, 1)
        return f"there is no setting {where}; " + (
            f"did you mean {near[0]}?" if near else f"it has {', '.join(fields)}"
        )
    if kind == "missing":
        return f"{where} must be set"
    if kind == "value_error":
        return f"{where}: {message}".removeprefix(": ").replace("Value error, ", "")
    expected = message.replace("Input should be", "must be").replace("an object", "a table").replace("array", "list")
    return f"{where} {expected[0].lower()}{expected[1:]}, not {_shown(first['input'])}"


def _fields(cls: Any, place: tuple[int | str, ...]) -> list[str]:
    """Names of the settings of the table at a place, the numbers of which are of lists."""
    for name in place:
        if isinstance(name, str):
            members = [typing.get_type_hints(cls)[name]]
            while not any(_is_table(member) for member in members):
                members = [inner for member in members for inner in typing.get_args(member)]
            cls = next(member for member in members if _is_table(member))
    names = cls.__dataclass_fields__ if is_dataclass(cls) else cls.model_fields
    return list(names)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Settings))


def _shown(value: Any) -> str:
    """A value of a file as the file has it, shortened."""
    return "a table" if isinstance(value, dict) else _short(_literal(value))


def _short(text: str) -> str:
    """A text from a file, for a message: one line, not too long."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _lines(table: dict[str, Any], prefix: str) -> list[str]:
    lines, tables = [], []
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            tables += ["", f"[{name}]", *_lines(value, f"{name}.")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                tables += ["", f"[[{name}]]", *_lines(item, f"{name}.")]
        else:
            lines.append(f"{key if key.isidentifier() and key.isascii() else _literal(key)} = {_literal(value)}")
    return lines + tables


def _literal(value: Any) -> str:
    """A value in TOML, whose escapes JSON's are, but for DEL, which TOML wants escaped too."""
    return json.dumps(_NONE if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")
