"""Who may speak to the engine: holders of the token, addressing it by a loopback name."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from sama_core.service.wire import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from sama_core.service.server import Activity


def check_host(headers: Headers, port: int) -> None:
    """Refuse a request addressed to another name, such as a web page's made to resolve to this machine.

    Raises:
        RequestError: 403.
    """
    if headers.get("host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        raise RequestError(403, "forbidden_host", "The engine answers only requests for 127.0.0.1.")


def check_token(headers: Headers, token: str) -> None:
    """Refuse a request without the token of the state file.

    Raises:
        RequestError: 401.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # Bytes, for compare_digest takes no non-ASCII text; headers arrive decoded as Latin-1.
    right = hmac.compare_digest(given.encode("latin-1"), token.encode("ascii"))
    if scheme.lower() != "bearer" or not right:
        raise RequestError(
            401, "unauthorized", "The engine's token is missing or wrong. Read it again from run/engine.json."
        )


class Gate:
    """ASGI middleware that lets only authorised requests through, and counts those in progress.

    Args:
        app: what lies behind.
        token: the bearer token.
        port: the port the engine listens on.
        refuse: makes the answer to a refused request.
        activity: told when an authorised request begins and ends; others must not keep the engine alive.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        port: int,
        refuse: Callable[[RequestError], ASGIApp],
        activity: Activity,
    ) -> None:
        self._app = app
        self._token = token
        self._port = port
        self._refuse = refuse
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, as ASGI middleware."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        try:
            check_host(headers, self._port)
            check_token(headers, self._token)
        except RequestError as error:
            await self._refuse(error)(scope, receive, send)
            return
        with self._activity:
            await self._app(scope, receive, send)
