"""The side API: ``/local/faults`` and ``/local/journal``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from blocks.local.workspace.api.routing import request_arguments
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.endpoints import LOCAL_PREFIX
from blocks.local.workspace.faults.journal import Journal
from blocks.local.workspace.faults.middleware import FaultInjector, JournalKeeper
from blocks.local.workspace.faults.policy import Armed
from blocks.local.workspace.faults.specs import parse_fault


def add_faults(app: FastAPI, book: FaultBook, token: str) -> None:
    """Give an application its side API, and do to requests what is asked for there.

    ``POST /local/faults`` arms a fault (``specs``) and answers with its ``number``; ``GET`` lists
    them with ``met``, how often each could have struck, and ``struck``, how often it did;
    ``DELETE`` forgets all. ``GET /local/journal`` has the requests received since the start or
    since the last ``DELETE``, oldest first.

    Args:
        app: The application.
        book: The faults.
        token: Bearer token of the API, which must not appear in the journal.
    """
    journal = Journal([token])

    async def add(request: Request) -> JSONResponse:
        fault = parse_fault(await request_arguments(request))
        return JSONResponse({"number": book.add(fault)})

    async def faults() -> JSONResponse:
        return JSONResponse({"faults": [_shown(item) for item in book.all()]})

    async def forget_faults() -> JSONResponse:
        book.clear()
        return JSONResponse({})

    async def entries() -> JSONResponse:
        return JSONResponse({"requests": [asdict(entry) for entry in journal.entries()]})

    async def forget_entries() -> JSONResponse:
        journal.clear()
        return JSONResponse({})

    for method, path, endpoint in (
        ("POST", "faults", add),
        ("GET", "faults", faults),
        ("DELETE", "faults", forget_faults),
        ("GET", "journal", entries),
        ("DELETE", "journal", forget_entries),
    ):
        app.add_api_route(
            f"{LOCAL_PREFIX}{path}", endpoint, methods=[method], include_in_schema=False
        )
    app.add_middleware(FaultInjector, book=book)
    # The last one added is the first that a request meets.
    app.add_middleware(JournalKeeper, journal=journal)


def _shown(item: Armed) -> dict[str, Any]:
    fault = item.fault.model_dump(exclude_none=True)
    return {"number": item.number, **fault, "met": item.met, "struck": item.struck}
