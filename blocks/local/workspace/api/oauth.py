"""OAuth for service principals: client credentials against tokens that expire.

Sources: RFC 6749 §4.4 and §5.2, and Databricks' page on machine-to-machine OAuth.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from blocks.local.workspace.api.routing import read_body
from blocks.local.workspace.identity import Identity

_LIFETIME_SECONDS = 3600
_MAX_BODY_BYTES = 64 * 1024


class Tokens:
    """The bearer tokens of a workspace: its own, and those that it issues for an hour.

    An issued token says when it expires and is signed with the workspace's own, so nothing has to
    be kept, and a restart takes none back.

    Args:
        token: The workspace's own token. It also is the secret of every service principal.
        clock: Seconds since the epoch.
    """

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = token.encode()
        self._clock = clock

    def issue(self, secret: str) -> str | None:
        """Return a new token; None when the secret is not the right one."""
        if not hmac.compare_digest(secret.encode(), self._token):
            return None
        return self._signed(str(int(self._clock()) + _LIFETIME_SECONDS))

    def accepts(self, token: str) -> bool:
        """Say whether a token is valid now."""
        if hmac.compare_digest(token.encode(), self._token):
            return True
        expiry = token.partition(".")[0]
        signed = hmac.compare_digest(token.encode(), self._signed(expiry).encode())
        return signed and int(expiry) > self._clock()

    def _signed(self, expiry: str) -> str:
        return f"{expiry}.{hmac.digest(self._token, expiry.encode(), 'sha256').hex()}"


def add_oauth(app: FastAPI, tokens: Tokens, identity: Identity) -> None:
    """Make the token endpoint answer, and the documents in which clients look for it."""

    # databricks-sdk asks for this one before anything else.
    async def host_metadata(request: Request) -> JSONResponse:
        issuer = f"{request.base_url}oidc"
        return JSONResponse({"oidc_endpoint": issuer, "workspace_id": str(identity.org_id)})

    async def server_metadata(request: Request) -> JSONResponse:
        issuer = f"{request.base_url}oidc"
        return JSONResponse({"issuer": issuer, "token_endpoint": f"{issuer}/v1/token"})

    async def token(request: Request) -> JSONResponse:
        body = await read_body(request, _MAX_BODY_BYTES) or b""
        form = parse_qs(body.decode(errors="replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return _refusal(400, "unsupported_grant_type", "Only client_credentials is supported.")
        issued = tokens.issue(_client_secret(request.headers.get("authorization", "")))
        if issued is None:
            return _refusal(401, "invalid_client", "Client authentication failed")
        return JSONResponse(
            {
                "access_token": issued,
                "token_type": "Bearer",
                "expires_in": _LIFETIME_SECONDS,
                "scope": "all-apis",
            },
            headers={"Cache-Control": "no-store"},
        )

    app.add_api_route("/.well-known/databricks-config", host_metadata, methods=["GET"])
    app.add_api_route(
        "/oidc/.well-known/oauth-authorization-server", server_metadata, methods=["GET"]
    )
    app.add_api_route("/oidc/v1/token", token, methods=["POST"])


def _client_secret(authorization: str) -> str:
    """Return the password of basic authentication; empty when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _refusal(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)
