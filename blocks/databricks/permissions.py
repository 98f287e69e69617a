"""Who may do what with a job, apart from its settings. All pure.

``access_control_list`` is no part of what ``jobs/get`` shows or ``jobs/reset`` takes; it is read
and replaced by ``/api/2.0/permissions/jobs/{job_id}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.databricks.spec import AccessControl

_OWNER = "IS_OWNER"


def permissions_to_set(
    wanted: Sequence[AccessControl], shown: Mapping[str, Any]
) -> list[dict[str, str]] | None:
    """Return the permissions that a job should get instead of those it has.

    Args:
        wanted: The block's ``access_control_list``, not empty.
        shown: The answer to ``GET permissions/jobs/{job_id}``.

    Returns:
        All entries to ``PUT``; None when the job has just these. What is inherited is no part of
        them. A job must have exactly one owner, so the one it has stays unless another is wanted.
    """
    held = {
        _principal(entry): permission["permission_level"]
        for entry in shown.get("access_control_list") or ()
        for permission in entry.get("all_permissions") or ()
        if not permission.get("inherited")
    }
    levels: dict[tuple[str, str], str] = {}
    for entry in wanted:
        levels[_principal(entry.principal)] = entry.permission_level
    if _OWNER not in levels.values():
        levels |= {who: level for who, level in held.items() if level == _OWNER}
    if levels == held:
        return None
    return [{kind: name, "permission_level": level} for (kind, name), level in levels.items()]


def _principal(entry: Mapping[str, Any]) -> tuple[str, str]:
    kinds = ("user_name", "service_principal_name", "group_name")
    return next((kind, str(entry[kind])) for kind in kinds if entry.get(kind))
