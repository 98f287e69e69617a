"""``/api/2.0/permissions/jobs/{job_id}``: who may do what with a job. Recorded, not enforced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.local.workspace.api.requests import Id
from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.errors import invalid, missing
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import Settings
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.permissions import Grant

_PATH = "permissions/jobs/{job_id}"
_VERSIONS: tuple[Version, ...] = ("2.0",)
_KINDS = ("user_name", "group_name", "service_principal_name")
Level = Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]

_MEANINGS: Mapping[Level, str] = {
    "CAN_VIEW": "Can view the job and its runs",
    "CAN_MANAGE_RUN": "Can view, start and cancel runs of the job",
    "CAN_MANAGE": "Can manage the job, its runs and its permissions",
    "IS_OWNER": "Owns the job",
}


class PermissionsGet(Settings):
    """``GET``."""

    job_id: Id


class AccessControl(Settings):
    """An entry of ``access_control_list``."""

    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None
    permission_level: Level


class PermissionsChange(PermissionsGet):
    """``PUT`` and ``PATCH``."""

    access_control_list: Annotated[list[AccessControl], Field(max_length=1000)] = Field(
        default_factory=list
    )


class PermissionsApi:
    """Handlers of the endpoints for permissions.

    Args:
        store: Where they are kept.
        identity: Of the workspace; its user owns what nobody else was given.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("GET", _PATH, _VERSIONS, PermissionsGet, self._get),
            route("GET", f"{_PATH}/permissionLevels", _VERSIONS, PermissionsGet, self._levels),
            route("PUT", _PATH, _VERSIONS, PermissionsChange, self._put),
            route("PATCH", _PATH, _VERSIONS, PermissionsChange, self._patch),
        ]

    def _get(self, request: PermissionsGet, _version: Version) -> Mapping[str, Any]:
        with self._store.transaction():
            return self._shown(request.job_id, self._grants(request.job_id))

    def _levels(self, request: PermissionsGet, _version: Version) -> Mapping[str, Any]:
        self._grants(request.job_id)
        levels = [
            {"permission_level": level, "description": text} for level, text in _MEANINGS.items()
        ]
        return {"permission_levels": levels}

    def _put(self, request: PermissionsChange, _version: Version) -> Mapping[str, Any]:
        with self._store.transaction():
            self._grants(request.job_id)
            return self._change(request.job_id, map(_grant, request.access_control_list))

    def _patch(self, request: PermissionsChange, _version: Version) -> Mapping[str, Any]:
        with self._store.transaction():
            old = self._grants(request.job_id)
            new = [_grant(entry) for entry in request.access_control_list]
            if any(grant.level == "IS_OWNER" for grant in new):
                old = [grant for grant in old if grant.level != "IS_OWNER"]
            return self._change(request.job_id, [*old, *new])

    def _grants(self, job_id: int) -> list[Grant]:
        if self._store.jobs.get(job_id) is None:
            raise missing(f"Job {job_id} does not exist.")
        stored = self._store.permissions.get(job_id)
        return stored or [Grant("user_name", self._identity.user_name, "IS_OWNER")]

    def _change(self, job_id: int, grants: Iterable[Grant]) -> Mapping[str, Any]:
        """Store grants, of which the last one for a principal counts, and show them."""
        kept = list({(grant.kind, grant.principal): grant for grant in grants}.values())
        if sum(grant.level == "IS_OWNER" for grant in kept) != 1:
            raise invalid("The job must have exactly one owner.")
        if any(grant.level == "IS_OWNER" and grant.kind == "group_name" for grant in kept):
            raise invalid("A group cannot be the owner of a job.")
        self._store.permissions.set(job_id, kept)
        return self._shown(job_id, self._store.permissions.get(job_id))

    def _shown(self, job_id: int, grants: Iterable[Grant]) -> Mapping[str, Any]:
        entries = [
            {grant.kind: grant.principal, "all_permissions": [_permission(grant.level)]}
            for grant in grants
        ]
        # Administrators can manage every job of a workspace.
        inherited = {
            "permission_level": "CAN_MANAGE",
            "inherited": True,
            "inherited_from_object": ["/jobs/"],
        }
        admins = {"group_name": "admins", "all_permissions": [inherited]}
        return {
            "object_id": f"/jobs/{job_id}",
            "object_type": "job",
            "access_control_list": [*entries, admins],
        }


def _permission(level: str) -> Mapping[str, Any]:
    return {"permission_level": level, "inherited": False}


def _grant(entry: AccessControl) -> Grant:
    given = [(kind, value) for kind in _KINDS if (value := getattr(entry, kind)) is not None]
    if len(given) != 1:
        raise invalid(
            f"Each entry of access_control_list needs exactly one of {', '.join(_KINDS)}."
        )
    ((kind, principal),) = given
    return Grant(kind, principal, entry.permission_level)
