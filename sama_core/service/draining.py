"""Lets a client finish sending before it is told that its request is refused."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from sama_core.service import limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DrainBeforeRefusal:
    """ASGI middleware that reads the rest of a body before an error is sent.

    A connection closed over unread bytes is reset: the client would meet a broken pipe in the middle of its
    sending where it should read "unknown image". Bodies over the cap are not worth it: those are left unread.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, as ASGI middleware."""
        length = Headers(scope=scope).get("content-length", "0")
        unread = 0 < int(length) <= limits.MAX_IMAGE_BODY

        async def noting_receive() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def draining_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                with contextlib.suppress(asyncio.TimeoutError):
                    while unread:
                        await asyncio.wait_for(noting_receive(), limits.READ_TIMEOUT)
            await send(message)

        await self._app(scope, noting_receive, draining_send)
