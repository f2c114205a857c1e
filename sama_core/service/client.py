"""The client's first step: find the engine and say hello."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sama_core import paths
from sama_core.errors import EngineUnavailable
from sama_core.files import is_held
from sama_core.service import PROTOCOL

#: Far more than an engine writes into its state file, or says of itself.
_MOST_BYTES = 1 << 16


class NoEngine(EngineUnavailable):
    """Nothing runs: nobody holds the engine's lock."""


@dataclass(frozen=True)
class FoundEngine:
    """An engine that has answered: how to reach it, and its hello."""

    port: int
    token: str
    hello: dict[str, Any]


def find_engine(timeout: float = 5.0) -> FoundEngine:
    """Return the running engine.

    Raises:
        NoEngine: none is running.
        EngineUnavailable: there is one, but it cannot be used.
    """
    if not is_held(paths.lock_file()):
        raise NoEngine("No engine is running. It starts by itself when GIMP needs it.")
    port, token, pid = _state(paths.state_file())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/v1/hello", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
        if response.status != 200:
            raise EngineUnavailable(f"Port {port} refuses the engine's token (status {response.status}).")
        hello = json.loads(body)
        if not isinstance(hello, dict):
            raise ValueError("its hello is no JSON object")
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise EngineUnavailable(
            f"The engine on port {port} does not answer ({str(error)[:200]!r}). End process {pid} and run again."
        ) from None
    finally:
        connection.close()
    if hello.get("protocol") != PROTOCOL:
        raise EngineUnavailable(
            f"The running engine speaks protocol {str(hello.get('protocol'))[:20]!r}, not {PROTOCOL}. "
            "End it and run again."
        )
    return FoundEngine(port, token, hello)


def _state(path: Path) -> tuple[int, str, int]:
    """Return port, token and process id from a state file, which anybody may have edited.

    Raises:
        EngineUnavailable: it cannot be read, or is not as an engine writes it.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a file")
        with path.open("rb") as file:
            state = json.loads(file.read(_MOST_BYTES))
        port, token, pid = state["port"], state["token"], state.get("pid", 0)
        if type(port) is not int or not 0 < port < 65536 or type(pid) is not int:
            raise ValueError("port or pid is not as an engine writes it")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ValueError("the token is not as an engine writes it")
    except FileNotFoundError:
        raise EngineUnavailable("The engine is just starting or ending. Try again in a moment.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:200]
        raise EngineUnavailable(
            f"The engine's state file cannot be read ({reason}). A running engine writes it again by itself: "
            "try again in a moment."
        ) from None
    return port, token, pid
