"""The client's first step: find the engine and say hello."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from sama_core import paths
from sama_core.errors import EngineUnavailable
from sama_core.service import PROTOCOL


class NoEngine(EngineUnavailable):
    """Nothing runs: there is no state file, or nobody listens where it points."""


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
    try:
        state = json.loads(paths.state_file().read_text(encoding="utf-8"))
        port, token = int(state["port"]), str(state["token"])
    except FileNotFoundError:
        raise NoEngine("No engine is running. It starts by itself when GIMP needs it.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable(
            f"The engine's state file cannot be read ({error}). Delete {paths.state_file()}."
        ) from None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/v1/hello", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise EngineUnavailable(f"Port {port} refuses the engine's token (status {response.status}).")
        hello = json.loads(body)
    except ConnectionRefusedError:
        raise NoEngine(
            "The engine was ended before it could remove its state file. The next run starts a fresh one."
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EngineUnavailable(
            f"The engine on port {port} does not answer ({error}). End process {state.get('pid')} and run again."
        ) from None
    finally:
        connection.close()
    if hello.get("protocol") != PROTOCOL:
        raise EngineUnavailable(
            f"The running engine speaks protocol {hello.get('protocol')}, not {PROTOCOL}. End it and run again."
        )
    return FoundEngine(port, token, hello)
