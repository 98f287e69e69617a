"""Who may call: the token for the API, the loopback host names for everything."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from blocks.local.workspace.api.oauth import Tokens
from blocks.local.workspace.api.routing import error_response
from blocks.local.workspace.errors import ApiError

_HOST_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# The pages, and the description of the API, are for whoever is on this machine.
_WITH_TOKEN = ("/api/", "/local/")


class AccessControl:
    """ASGI middleware that lets only the right requests through.

    The pages are open to whoever is on this machine. A web page elsewhere that gives its own name
    an address of this machine must not read them: so the host name has to be one of the loopback's.

    Args:
        app: What it protects.
        tokens: The bearer tokens of the API.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "http":
            error = self._check(scope["path"], Headers(scope=scope))
            if error is not None:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> ApiError | None:
        if _host_name(headers.get("host", "")) not in _HOST_NAMES:
            return ApiError(
                400, "INVALID_PARAMETER_VALUE", "This workspace answers to localhost only."
            )
        if not path.startswith(_WITH_TOKEN):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return ApiError(
                401,
                "UNAUTHENTICATED",
                "Credential was not sent or was of an unsupported type for this API.",
            )
        # The cloud answers a wrong token with a number for a code.
        if not self._tokens.accepts(given.strip()):
            return ApiError(403, 403, "Invalid access token.")
        return None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
