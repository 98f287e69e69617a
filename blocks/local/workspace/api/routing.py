"""How a request becomes a call of a handler, and a handler's answer a response."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Literal, NoReturn, TypeVar

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from blocks.local.workspace.api.multipart import parse_form
from blocks.local.workspace.errors import ApiError, invalid, malformed
from blocks.local.workspace.models import parse, prune

MAX_BODY_BYTES = 10 * 1024 * 1024
# The parts of a form that are files.
_BYTES = frozenset({"content", "contents", "file"})

Version = Literal["2.0", "2.1", "2.2"]
JOBS_VERSIONS: tuple[Version, ...] = ("2.0", "2.1", "2.2")
Answer = Mapping[str, Any] | Response
RequestModel = TypeVar("RequestModel", bound=BaseModel)


@dataclass(frozen=True)
class Route:
    """An endpoint.

    Attributes:
        method: Of HTTP.
        path: Below ``/api/<version>/``; what is in braces is an argument too.
        versions: The versions that have it.
        request: Model of the arguments, be they in the query, in the body or in both.
        handler: Takes the parsed arguments and the version, gives the answer.
        also: Models of arguments that the handler checks itself, for the API's description.
    """

    method: str
    path: str
    versions: tuple[Version, ...]
    request: type[BaseModel]
    handler: Callable[[Any, Version], Answer]
    also: tuple[type[BaseModel], ...] = ()


def route(
    method: str,
    path: str,
    versions: tuple[Version, ...],
    request: type[RequestModel],
    handler: Callable[[RequestModel, Version], Answer],
    *also: type[BaseModel],
) -> Route:
    """Return an endpoint whose handler takes what its request model gives."""
    return Route(method, path, versions, request, handler, also)


def add_routes(app: FastAPI, routes: Iterable[Route]) -> None:
    """Make endpoints answer, each under all of its versions."""
    for item in routes:
        for version in item.versions:
            app.add_api_route(
                f"/api/{version}/{item.path}",
                _endpoint(item, version),
                methods=[item.method],
                name=f"{item.path} {version}",
            )


def _endpoint(item: Route, version: Version) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        parsed = parse(item.request, {**await request_arguments(request), **request.path_params})
        answer = await run_in_threadpool(item.handler, parsed, version)
        return answer if isinstance(answer, Response) else JSONResponse(dict(answer))

    return endpoint


async def request_arguments(request: Request) -> dict[str, Any]:
    """Return the arguments of a request; one client sends those of a GET as a JSON body.

    Raises:
        ApiError: The body is none that the API takes.
    """
    arguments: dict[str, Any] = dict(request.query_params)
    body = await read_body(request, MAX_BODY_BYTES)
    if body is None:
        raise ApiError(413, "REQUEST_TOO_LARGE", "A request can have 10 MB at most.")
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return arguments | _form(parse_form(content_type, body))
    return arguments | _json_object(body) if body.strip() else arguments


def _json_object(body: bytes) -> dict[str, Any]:
    """Return a body, pruned, if it is an object that can be answered as JSON again."""
    try:
        content = json.loads(body, parse_constant=_no_number)
        # Half of a surrogate pair can be written in JSON, but is no text.
        json.dumps(content, ensure_ascii=False).encode()
        if not isinstance(content, dict):
            raise malformed("Expected object for the body of the request")
        return prune(content)
    except (ValueError, RecursionError):
        raise malformed("the body is not valid JSON") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _form(parts: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        name: value if name in _BYTES else value.decode(errors="replace")
        for name, value in parts.items()
    }


async def read_body(request: Request, limit: int) -> bytes | None:
    """Return the body of a request, None as soon as it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def error_response(error: ApiError) -> JSONResponse:
    """Return the response of a refused request, in Databricks' form."""
    # What clients sent may be in the message; a header takes visible characters only.
    phrase = re.sub(r"[^ -~]", "?", error.message)[:500]
    return JSONResponse(
        {
            "error_code": error.error_code,
            "message": error.message,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.RequestInfo",
                    "request_id": token_hex(16),
                }
            ],
        },
        error.status,
        {"X-Databricks-Reason-Phrase": phrase.strip()},
    )


def add_error_handlers(app: FastAPI) -> None:
    """Make every error answer as JSON: refused requests, unknown routes and our own faults."""

    async def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, ApiError):
            raise error
        return error_response(error)

    async def bad_path(_request: Request, _error: Exception) -> Response:
        return error_response(invalid("The address is not one of this workspace's pages."))

    # The trace is logged by the server.
    async def failed(_request: Request, _error: Exception) -> Response:
        return error_response(
            ApiError(500, "INTERNAL_ERROR", "The local workspace failed; see its log.")
        )

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(RequestValidationError, bad_path)
    app.add_exception_handler(Exception, failed)
