"""Notes every request in the journal, and does the faults to those that they concern."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blocks.local.workspace.api.routing import MAX_BODY_BYTES, error_response
from blocks.local.workspace.clock import now
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.connection import cut
from blocks.local.workspace.faults.effects import MALFORMED, refusal, retry_after
from blocks.local.workspace.faults.endpoints import LOCAL_PREFIX
from blocks.local.workspace.faults.journal import (
    Entry,
    Journal,
    note_fault,
    read_body,
    read_query,
    watch_faults,
)
from blocks.local.workspace.faults.specs import (
    CallFault,
    Cut,
    Delay,
)


class JournalKeeper:
    """ASGI middleware that notes what is asked and answered, but for the side API's own requests.

    Args:
        app: What answers.
        journal: Where it is noted.
    """

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how it was answered."""
        if scope["type"] != "http" or scope["path"].startswith(LOCAL_PREFIX):
            await self._app(scope, receive, send)
            return
        moment = now()
        body = await _read(receive)
        faults = watch_faults()
        status: int | None = None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, _replay(body, receive), watch)
        finally:
            entry = Entry(
                time=moment,
                method=scope["method"],
                path=scope["path"],
                query=read_query(scope["query_string"]),
                body=read_body(Headers(scope=scope).get("content-type", ""), body),
                status=status,
                fault=faults[0] if faults else None,
            )
            self._journal.add(entry)


class FaultInjector:
    """ASGI middleware that does to a request what the faults say.

    Args:
        app: What answers.
        book: The faults.
    """

    def __init__(self, app: ASGIApp, book: FaultBook) -> None:
        self._app = app
        self._book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or not, or drop its answer."""
        fault = (
            self._book.for_call(scope["method"], scope["path"]) if scope["type"] == "http" else None
        )
        if fault is None:
            await self._app(scope, receive, send)
            return
        note_fault(fault.kind)
        if isinstance(fault, Delay):
            await self._answer_late(fault, scope, receive, send)
            return
        if fault.when == "after":
            await self._app(scope, receive, _drop)
        if isinstance(fault, Cut):
            await cut(scope, receive)
        else:
            await _response(fault)(scope, receive, send)

    async def _answer_late(self, fault: Delay, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.when == "before":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
            return

        async def late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(fault.seconds)
            await send(message)

        await self._app(scope, receive, late)


def _response(fault: CallFault) -> Response:
    error = refusal(fault)
    if error is None:
        return Response(MALFORMED, HTTPStatus.OK, media_type="application/json")
    response = error_response(error)
    response.headers.update(retry_after(fault, time.time()))
    return response


async def _drop(_message: Message) -> None:
    """Send nothing."""


async def _read(receive: Receive) -> bytes:
    """Return a body, or its beginning if it is larger than the application takes."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read before, and then what follows it."""
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
