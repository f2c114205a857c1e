"""The engine's routes: what each request of docs/protocol.md does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sama_core import __version__
from sama_core.errors import InvalidImage, SamaError, UnknownImage
from sama_core.images import image_id
from sama_core.inference.request import part
from sama_core.service import PROTOCOL, limits, wire
from sama_core.service.draining import DrainBeforeRefusal
from sama_core.service.image_store import ImageStore
from sama_core.service.jobs import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from sama_core.inference.request import Answer
    from sama_core.prompts import Prompt
    from sama_core.service.engines import EnginePool
    from sama_core.service.jobs import Progress

log = logging.getLogger(__name__)

#: Share of the progress bar that belongs to loading and encoding; the rest is the answer's.
ENCODE_SHARE = 0.4


def error_response(error: SamaError) -> Response:
    """Return the answer to a refused request; it closes the connection, for the body may be unread."""
    return Response(wire.error_body(error), error.status, {"Connection": "close"}, media_type="application/json")


class EngineApp:
    """The engine's state and its routes.

    Args:
        engines: the models.
        jobs: the queue they work in.
        stop: ends the process, soon after it returns.
    """

    def __init__(self, engines: EnginePool, jobs: JobQueue, stop: Callable[[], None]) -> None:
        self._engines = engines
        self._jobs = jobs
        self._stop = stop
        self._images = ImageStore(limits.IMAGE_STORE_BYTES)
        self._uploads = 0

    def routes(self) -> ASGIApp:
        """Return the ASGI application, without the gate."""
        app = Starlette(
            routes=[
                Route("/v1/hello", self._hello, methods=["GET"]),
                Route("/v1/images/{id}", self._image_held, methods=["GET"]),
                Route("/v1/images/{id}", self._upload, methods=["PUT"]),
                Route("/v1/select", self._select, methods=["POST"]),
                Route("/v1/matte", self._matte, methods=["POST"]),
                Route("/v1/shutdown", self._shutdown, methods=["POST"]),
            ],
            exception_handlers={
                SamaError: _refuse,
                HTTPException: _refuse_path,
                MemoryError: _refuse_memory,
                ClientDisconnect: _nobody_there,
                Exception: _refuse_unexpected,
            },
        )
        app.router.redirect_slashes = False
        return DrainBeforeRefusal(app)

    async def _hello(self, _: Request) -> Response:
        return Response(
            json.dumps(
                {
                    "protocol": PROTOCOL,
                    "version": __version__,
                    "pid": os.getpid(),
                    "device": self._engines.device,
                    "models": self._engines.models,
                    "installed": self._engines.installed(),
                    "stats": {
                        "encodes": self._engines.encodes,
                        "jobs": self._jobs.accepted,
                        "uploads": self._uploads,
                    },
                }
            ),
            media_type="application/json",
        )

    async def _image_held(self, request: Request) -> Response:
        if self._images.get(request.path_params["id"]) is None:
            raise _unknown_image()
        return Response(status_code=204)

    async def _upload(self, request: Request) -> Response:
        name = request.path_params["id"]
        length = _content_length(request, limits.MAX_IMAGE_BODY)
        width, height = wire.image_size(request.headers.get("x-width"), request.headers.get("x-height"))
        if length != width * height * 3:
            raise wire.malformed(f"A picture of {width}×{height} has {width * height * 3} bytes, not {length}.")
        if not wire.is_image_id(name):
            raise wire.malformed("A picture's name is 64 lower-case hexadecimal digits.")
        pixels = await _fill(request.stream(), bytearray(length))
        rgb = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        if await asyncio.to_thread(image_id, rgb) != name:
            raise InvalidImage("The picture's pixels do not match its name. Send it again.")
        self._images.put(name, rgb)
        self._uploads += 1
        return Response(status_code=204)

    async def _select(self, request: Request) -> ASGIApp:
        return await self._job(request, "select")

    async def _matte(self, request: Request) -> ASGIApp:
        return await self._job(request, "matte")

    async def _job(self, request: Request, verb: str) -> ASGIApp:
        length = _content_length(request, limits.MAX_PROMPT_BODY)
        stream = request.stream()
        head, body_start = await _read_line(stream)
        asked = wire.parse_job(head)
        rgb = self._images.get(asked.image)
        if rgb is None:
            raise _unknown_image()
        if asked.model not in self._engines.models:
            raise wire.RequestError(
                422,
                "unknown_model",
                f"There is no model {asked.model[:40]!r}. Choose one of: {', '.join(self._engines.models)}.",
            )
        height, width = rgb.shape[:2]
        # zlib never makes more of incompressible data than this.
        if len(head) + 1 + width * height * 1.001 + 1024 < length:
            raise wire.too_large(f"The mask is larger than any mask of {width}×{height} pixels can be.")
        body = bytearray(length - len(head) - 1)
        body[: len(body_start)] = body_start
        await _fill(stream, body, len(body_start))
        if bool(body) != asked.has_mask:
            raise wire.malformed("'mask' must be true exactly when mask bytes follow the first line.")
        prompt = await asyncio.to_thread(_make_prompt, asked, body, height, width)

        def work(progress: Progress) -> Answer:
            return self._answer(verb, asked, rgb, prompt, progress)

        return JobStream(self._jobs, work)

    def _answer(self, verb: str, asked: wire.JobRequest, rgb: np.ndarray, prompt: Prompt, progress: Progress) -> Answer:
        encoding, answering = part(progress, 0.0, ENCODE_SHARE), part(progress, ENCODE_SHARE, 1.0)
        engine = self._engines.get(asked.model, encoding)
        engine.set_image(rgb, progress=encoding, image_id=asked.image)
        if verb == "select":
            return engine.select(prompt, progress=answering)
        return engine.matte(prompt, decontaminate=asked.decontaminate, progress=answering, method=asked.method)

    async def _shutdown(self, _: Request) -> Response:
        self._stop()
        return Response(status_code=204, headers={"Connection": "close"})


class JobStream:
    """The answer to select and matte: submits the job, passes events on, drops it when the client goes."""

    def __init__(self, jobs: JobQueue, work: Callable[[Progress], Answer]) -> None:
        self._jobs = jobs
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application."""
        loop = asyncio.get_running_loop()
        outcomes: asyncio.Queue[dict[str, Any] | Answer | SamaError | None] = asyncio.Queue()

        def listener(what: dict[str, Any] | Answer | SamaError) -> None:
            # The loop may have been closed under a job that outlives the engine's patience.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(outcomes.put_nowait, what)

        async def watch_client() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            outcomes.put_nowait(None)

        async def write(body: bytes | memoryview, more: bool = True) -> None:
            message = {"type": "http.response.body", "body": body, "more_body": more}
            await asyncio.wait_for(send(message), limits.SEND_TIMEOUT)

        job = Job(self._work, listener)
        watcher = asyncio.create_task(watch_client())
        try:
            headers = [(b"content-type", wire.STREAM_TYPE.encode()), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            self._jobs.submit(job)
            while True:
                outcome = await outcomes.get()
                if outcome is None:
                    log.info("a client went away; its job is dropped")
                    return
                if isinstance(outcome, dict):
                    await write(wire.event_line(outcome))
                    continue
                if isinstance(outcome, SamaError):
                    await write(wire.event_line(wire.error_event(outcome)))
                else:
                    await write(wire.event_line(wire.answer_event(outcome)))
                    for piece in wire.answer_payload(outcome, limits.SEND_CHUNK):
                        await write(piece)
                await write(b"", more=False)
                return
        except asyncio.TimeoutError:
            log.warning("a client did not read its answer; the connection is given up")
            raise
        finally:
            self._jobs.cancel(job)
            watcher.cancel()


def _content_length(request: Request, cap: int) -> int:
    length = request.headers.get("content-length")
    if length is None or "transfer-encoding" in request.headers:
        raise wire.RequestError(411, "length_required", "The request must say its length.")
    if int(length) > cap:
        raise wire.too_large(
            f"The request has {int(length) // 1_000_000} MB; the engine takes up to {cap // 1_000_000} MB. "
            "Work on a smaller copy or a crop."
        )
    return int(length)


async def _next_chunk(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    try:
        return await asyncio.wait_for(anext(stream, None), limits.READ_TIMEOUT)
    except asyncio.TimeoutError:
        raise wire.RequestError(408, "timeout", "The request stopped arriving. Send it again.") from None


async def _fill(stream: AsyncGenerator[bytes, None], buffer: bytearray, at: int = 0) -> bytearray:
    """Read the rest of a body into `buffer` from `at` on; the HTTP parser sees to it that it fits."""
    while (chunk := await _next_chunk(stream)) is not None:
        buffer[at : at + len(chunk)] = chunk
        at += len(chunk)
    return buffer


async def _read_line(stream: AsyncGenerator[bytes, None]) -> tuple[bytes, bytes]:
    """Return the first line of a body without its newline, and what else came with it."""
    head = bytearray()
    while b"\n" not in head:
        if len(head) > limits.MAX_JSON_LINE:
            raise wire.malformed("The request's first line is too long.")
        chunk = await _next_chunk(stream)
        if chunk is None:
            raise wire.malformed("The request's first line is not ended by a newline.")
        head += chunk
    line, _, rest = bytes(head).partition(b"\n")
    return line, rest


def _make_prompt(asked: wire.JobRequest, body: bytearray, height: int, width: int) -> Prompt:
    mask = wire.decode_mask(body, height, width) if asked.has_mask else None
    return asked.prompt(mask, height, width)


def _unknown_image() -> UnknownImage:
    return UnknownImage("The engine does not hold this picture. Send its pixels first.")


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, SamaError)
    return error_response(error)


async def _refuse_path(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "malformed")
    return error_response(wire.RequestError(error.status_code, code, f"{error.detail}. See docs/protocol.md."))


async def _refuse_memory(_: Request, error: Exception) -> Response:
    log.error("out of memory while reading a request", exc_info=error)
    return error_response(
        wire.too_large("There is not enough memory for this picture. Close other programs or work on a smaller copy.")
    )


async def _nobody_there(_: Request, __: Exception) -> Response:
    log.info("a client went away while sending")
    return Response(status_code=400)


async def _refuse_unexpected(_: Request, error: Exception) -> Response:
    # uvicorn logs the traceback, for starlette raises the error on after answering.
    return error_response(
        SamaError(f"The engine met an unexpected problem ({type(error).__name__}). Try again, or see its log.")
    )
