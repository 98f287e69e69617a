"""``/api/2.0/secrets/acls/*``: who may use a scope. Recorded, not enforced: there is one user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.api.secrets import ScopeRequest, no_scope
from blocks.local.workspace.errors import ApiError, missing
from blocks.local.workspace.store.secrets import SecretAcl, Secrets

_VERSIONS: tuple[Version, ...] = ("2.0",)


class AclRequest(ScopeRequest):
    """``get`` and ``delete``."""

    principal: Annotated[str, Field(min_length=1)]


class AclPut(AclRequest):
    """``put``."""

    permission: Literal["READ", "WRITE", "MANAGE"]


class SecretAclsApi:
    """Handlers of the endpoints for the permissions of secret scopes.

    Args:
        secrets: Where they are kept.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("POST", "secrets/acls/put", _VERSIONS, AclPut, self._put),
            route("GET", "secrets/acls/get", _VERSIONS, AclRequest, self._get),
            route("GET", "secrets/acls/list", _VERSIONS, ScopeRequest, self._list),
            route("POST", "secrets/acls/delete", _VERSIONS, AclRequest, self._delete),
        ]

    def _put(self, request: AclPut, _version: Version) -> Mapping[str, Any]:
        self._acls(request.scope)
        self._secrets.put_acl(request.scope, SecretAcl(request.principal, request.permission))
        return {}

    def _get(self, request: AclRequest, _version: Version) -> Mapping[str, Any]:
        for acl in self._acls(request.scope):
            if acl.principal == request.principal:
                return asdict(acl)
        raise _no_acl(request)

    def _list(self, request: ScopeRequest, _version: Version) -> Mapping[str, Any]:
        acls = [asdict(acl) for acl in self._acls(request.scope)]
        return {"items": acls} if acls else {}

    def _delete(self, request: AclRequest, _version: Version) -> Mapping[str, Any]:
        self._acls(request.scope)
        if not self._secrets.delete_acl(request.scope, request.principal):
            raise _no_acl(request)
        return {}

    def _acls(self, scope: str) -> tuple[SecretAcl, ...]:
        if scope not in self._secrets.scopes():
            raise no_scope(scope)
        return self._secrets.acls(scope)


def _no_acl(request: AclRequest) -> ApiError:
    return missing(f"{request.principal} has no permission on scope {request.scope}.")
