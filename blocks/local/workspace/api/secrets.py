"""``/api/2.0/secrets/*``: scopes and secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.local.workspace.api.content import decoded
from blocks.local.workspace.api.requests import Nothing
from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.clock import now
from blocks.local.workspace.errors import ApiError, invalid, missing
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import Settings
from blocks.local.workspace.store import Store

MAX_SECRET_BYTES = 128 * 1024
MAX_SECRETS = 1000
_VERSIONS: tuple[Version, ...] = ("2.0",)
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w\-.@]+$")]


class ScopeRequest(Settings):
    """``scopes/delete`` and ``list``."""

    scope: Name


class ScopeCreate(ScopeRequest):
    """``scopes/create``."""

    initial_manage_principal: Literal["users"] | None = None


class SecretRequest(ScopeRequest):
    """``get`` and ``delete``."""

    key: Name


class PutRequest(SecretRequest):
    """``put``: text, or bytes in base64."""

    string_value: str | None = None
    bytes_value: str | None = None


class SecretsApi:
    """Handlers of the endpoints for secrets. Lists never show values.

    Args:
        store: Where they are kept.
        identity: Of the workspace; its user manages the scopes that it makes.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._secrets = store.secrets
        self._identity = identity

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("POST", "secrets/scopes/create", _VERSIONS, ScopeCreate, self._create_scope),
            route("GET", "secrets/scopes/list", _VERSIONS, Nothing, self._list_scopes),
            route("POST", "secrets/scopes/delete", _VERSIONS, ScopeRequest, self._delete_scope),
            route("POST", "secrets/put", _VERSIONS, PutRequest, self._put),
            route("GET", "secrets/list", _VERSIONS, ScopeRequest, self._list),
            route("GET", "secrets/get", _VERSIONS, SecretRequest, self._get),
            route("POST", "secrets/delete", _VERSIONS, SecretRequest, self._delete),
        ]

    def _create_scope(self, request: ScopeCreate, _version: Version) -> Mapping[str, Any]:
        manager = request.initial_manage_principal or self._identity.user_name
        if not self._secrets.add_scope(request.scope, manager):
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {request.scope} already exists!")
        return {}

    def _list_scopes(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        scopes = [{"name": name, "backend_type": "DATABRICKS"} for name in self._secrets.scopes()]
        return {"scopes": scopes} if scopes else {}

    def _delete_scope(self, request: ScopeRequest, _version: Version) -> Mapping[str, Any]:
        if not self._secrets.delete_scope(request.scope):
            raise no_scope(request.scope)
        return {}

    def _put(self, request: PutRequest, _version: Version) -> Mapping[str, Any]:
        value = _value(request)
        with self._store.transaction():
            self._check_scope(request.scope)
            keys = {info.key for info in self._secrets.list(request.scope)} | {request.key}
            if len(keys) > MAX_SECRETS:
                raise ApiError(
                    400,
                    "RESOURCE_LIMIT_EXCEEDED",
                    f"A scope can have {MAX_SECRETS} secrets at most.",
                )
            self._secrets.put(request.scope, request.key, value, now())
        return {}

    def _list(self, request: ScopeRequest, _version: Version) -> Mapping[str, Any]:
        self._check_scope(request.scope)
        secrets = [
            {"key": info.key, "last_updated_timestamp": info.updated}
            for info in self._secrets.list(request.scope)
        ]
        return {"secrets": secrets} if secrets else {}

    def _get(self, request: SecretRequest, _version: Version) -> Mapping[str, Any]:
        self._check_scope(request.scope)
        try:
            value = self._secrets.get(request.scope, request.key)
        except KeyError:
            raise _no_secret(request) from None
        return {"key": request.key, "value": base64.b64encode(value).decode()}

    def _delete(self, request: SecretRequest, _version: Version) -> Mapping[str, Any]:
        self._check_scope(request.scope)
        if not self._secrets.delete(request.scope, request.key):
            raise _no_secret(request)
        return {}

    def _check_scope(self, name: str) -> None:
        if name not in self._secrets.scopes():
            raise no_scope(name)


def _value(request: PutRequest) -> bytes:
    match request.string_value, request.bytes_value:
        case str(text), None:
            value = text.encode()
        case None, str(encoded):
            value = decoded(encoded, "bytes_value")
        case _:
            raise invalid("Exactly one of string_value and bytes_value must be specified.")
    if len(value) > MAX_SECRET_BYTES:
        raise invalid(f"A secret can have {MAX_SECRET_BYTES // 1024} KB at most.")
    return value


def no_scope(name: str) -> ApiError:
    """Return the error of an unknown scope."""
    return missing(f"Scope {name} does not exist!")


def _no_secret(request: SecretRequest) -> ApiError:
    return missing(f"Secret does not exist with scope: {request.scope} and key: {request.key}")
