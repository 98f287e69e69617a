"""The saved job of a name: created when it is missing, changed when its definition did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.databricks.client import JobsClient
from blocks.databricks.errors import JobBusyError
from blocks.databricks.permissions import permissions_to_set
from blocks.databricks.settings import settings_differ
from blocks.databricks.spec import AccessControl


def ensure_job(
    client: JobsClient, settings: Mapping[str, Any], access: Sequence[AccessControl]
) -> tuple[int, dict[str, Any]]:
    """Return the id and the settings of the saved job of this name, created or reset as needed.

    Args:
        client: Calls Databricks.
        settings: What the job should be, with its name.
        access: Who may do what with it; empty to leave that as it is.

    Raises:
        JobBusyError: The job would have to change, but a run of it is alive.
        ApiError: Databricks refused something.
        UnreachableError: Databricks could not be reached.
    """
    name = str(settings["name"])
    job_id: int = client.retrying()(_find_or_create, client, settings)
    current: dict[str, Any] = client.get_job(job_id)["settings"]
    if settings_differ(settings, current):
        if alive := client.active_runs(job_id):
            raise JobBusyError(
                f"Job {name!r} has changed, but its run {alive[0]} is still alive and would be "
                "repaired with the new settings. Wait until it has ended, or cancel it."
            )
        client.reset_job(job_id, settings)
        current = client.get_job(job_id)["settings"]
    if access:
        permissions = permissions_to_set(access, client.get_permissions(job_id))
        if permissions is not None:
            client.set_permissions(job_id, permissions)
    return job_id, current


def _find_or_create(client: JobsClient, settings: Mapping[str, Any]) -> int:
    """Return the id of the oldest saved job of this name, made when there is none."""
    name = str(settings["name"])
    # Also when this is called again: an answer may have been lost after the job was made.
    if jobs := client.find_jobs(name):
        return int(jobs[0]["job_id"])
    created = client.create_job(settings)
    # Two flow runs may both have found none: the oldest job is the one that all agree on.
    oldest = next((int(job["job_id"]) for job in client.find_jobs(name)), created)
    if oldest != created:
        client.delete_job(created)
    return oldest
