"""Frozen dataclasses as TOML files: a config file says what differs from the defaults, a run's folder keeps all of it.

Understood types of fields: bool, int, float, str, Path, Literal, tuples (`tuple[X, ...]` and of fixed length), other
dataclasses, tuples of dataclasses, and unions of these with each other and with None. TOML has no null: None is written
"none", so a text that may be None cannot be that word.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from sama_core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

T = TypeVar("T")

_NONE = "none"
#: Letters of a value or a name that a message shows.
_SHOWN = 100
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path, as text"}


class _Mismatch(Exception):
    """A value that is not what its field takes; `str()` is `WHERE must be WHAT, not VALUE`."""


def load_config(path: Path, cls: type[T], base: T | None = None) -> T:
    """Read a config file.

    Args:
        path: a TOML file. Paths in it are kept as they are written, so relative ones count from the working folder.
        cls: the dataclass to make.
        base: what settings are that the file leaves out, also within tables; the defaults of `cls` if None.

    Raises:
        ConfigError: the file cannot be read, is no TOML, has a setting that `cls` lacks (the nearest one is named),
            lacks one that has no default, or has a value of another type or one that `cls` itself refuses.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is not a file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The config file {path} cannot be read: {reason}. Check its name.") from error
    return parse_config(text, cls, base, str(path))


def parse_config(text: str, cls: type[T], base: T | None = None, source: str = "config") -> T:
    """Read a config from TOML text; `source` names it in messages. The rest is as in `load_config`."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the parser's own error is a ValueError; numbers raise plain ones
        reason = _short(str(error) if isinstance(error, ValueError) else "lists or tables are too deep")
        raise ConfigError(f"{source} is no valid TOML: {reason}. Texts go in quotes, lists in [ ].") from error
    try:
        return _read_dataclass(table, cls, base, "")
    except _Mismatch as error:
        raise ConfigError(f"{source}: {error}.") from error


def save_config(config: Any, path: Path) -> None:
    """Write every setting of a dataclass, also those at their defaults; `load_config` gives an equal one back."""
    path.write_text(format_config(config), encoding="utf-8")


def format_config(config: Any) -> str:
    """Return a dataclass as TOML text.

    Raises:
        TypeError: a value that no config file can hold.
    """
    return "\n".join(_table_lines(config, "")).lstrip("\n") + "\n"


def _read_dataclass(table: dict[str, Any], cls: Any, base: Any, where: str) -> Any:
    types_of = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key[:_SHOWN], fields, 1)
            remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(fields)}"
            raise _Mismatch(f"there is no setting {where}{_short(key)}; {remedy}")
    values = {}
    for name, field in fields.items():
        given = _base_value(field, base)
        if name in table:
            values[name] = _read(table[name], types_of[name], given, where + name)
        elif given is not dataclasses.MISSING:
            values[name] = given
        else:
            raise _Mismatch(f"{where}{name} must be set: {_description(types_of[name])}")
    try:
        return cls(**values)
    except ValueError as error:
        raise _Mismatch(f"{where.rstrip('.')}: {error}" if where else str(error)) from error


def _base_value(field: dataclasses.Field[Any], base: Any) -> Any:
    if base is not None:
        return getattr(base, field.name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _read(value: Any, kind: Any, base: Any, where: str) -> Any:
    """Convert one TOML value to the type of its field; `base` fills in what a table leaves out."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(value, kind, base, where)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _read_dataclass(value, kind, base if isinstance(base, typing.cast(type, kind)) else None, f"{where}.")
    if kind is type(None) and value == _NONE:
        return None
    if origin is typing.Literal and any(value == choice and type(value) is type(choice) for choice in arguments):
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_read(item, kinds[i], None, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _Mismatch(f"{where} has a number beyond the 64 bits of TOML's")
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str) and "\0" not in value:
        return Path(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise _Mismatch(f"{where} must be {_description(kind)}, not {_shown(value)}")


def _read_union(value: Any, kind: Any, base: Any, where: str) -> Any:
    members = typing.get_args(kind)
    if type(None) in members and value == _NONE:
        return None
    members = [member for member in members if member is not type(None)]
    errors = []
    for member in members:
        try:
            return _read(value, member, base, where)
        except _Mismatch as error:
            errors.append(error)
    # With one member besides None, what is wrong inside it says more than that the whole does not fit.
    inside = len(members) == 1 and isinstance(value, (dict, list))
    raise errors[0] if inside else _Mismatch(f"{where} must be {_description(kind)}, not {_shown(value)}")


def _description(kind: Any) -> str:
    """What a type is called in a message."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_description(member) for member in arguments)
    if origin is typing.Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(_shown(choice) for choice in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"a list in [ ], each {_description(arguments[0])}"
    if origin is tuple:
        return f"a list of {len(arguments)}: [{', '.join(_description(member) for member in arguments)}]"
    if dataclasses.is_dataclass(kind):
        return f"a table with {', '.join(field.name for field in dataclasses.fields(kind))}"
    if kind is type(None):
        return _shown(_NONE)
    if kind in _NAMES:
        return _NAMES[kind]
    raise TypeError(f"config files know no {kind}")


def _shown(value: Any, depth: int = 0) -> str:
    """A value of a file as the file has it, shortened."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        if depth > 2:
            return "[…]"
        return _short("[" + ", ".join(_shown(item, depth + 1) for item in value[:4]) + (", …]" if value[4:] else "]"))
    if isinstance(value, int) and abs(value) >= 2**63:  # Python refuses to write the longest ones
        return "a number beyond 64 bits"
    return _short(_literal(value) if isinstance(value, (bool, int, float, str)) else str(value))


def _short(text: str) -> str:
    """A text from a file, for a message: one line, not too long."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _table_lines(config: Any, prefix: str) -> list[str]:
    lines, tables = [], []
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            tables += ["", f"[{name}]", *_table_lines(value, f"{name}.")]
        elif isinstance(value, tuple) and any(dataclasses.is_dataclass(item) for item in value):
            for item in value:
                tables += ["", f"[[{name}]]", *_table_lines(item, f"{name}.")]
        else:
            lines.append(f"{field.name} = {_literal(value)}")
    return lines + tables


def _literal(value: Any) -> str:
    """A value in TOML."""
    if value is None:
        return f'"{_NONE}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, Path)):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    raise TypeError(f"config files cannot hold {value!r}")
