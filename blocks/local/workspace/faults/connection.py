"""Lets an application cut the connection that a request came on, which ASGI itself does not."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_EXTENSION = "workspace.transport"


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol; its requests know the transport that they came on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take note of the transport for all requests of the connection."""
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_EXTENSION] = transport
            await application(scope, receive, send)

        self.app = with_transport


async def cut(scope: MutableMapping[str, Any], receive: Receive) -> None:
    """Cut the connection of a request at once: nothing more is sent, not even the end of TLS."""
    transport: asyncio.Transport = scope["extensions"][_EXTENSION]
    transport.abort()
    # uvicorn would answer 500 for a request that ends before it has seen the disconnection.
    while (await receive())["type"] != "http.disconnect":
        pass
