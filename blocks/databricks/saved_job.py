"""The saved job of a name: created when it is missing, changed when its definition did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.databricks.client import JobsClient, is_transient
from blocks.databricks.errors import ApiError, JobBusyError, UnreachableError
from blocks.databricks.permissions import permissions_to_set
from blocks.databricks.settings import settings_differ
from blocks.databricks.spec import AccessControl


def ensure_job(
    client: JobsClient, settings: Mapping[str, Any], access: Sequence[AccessControl]
) -> int:
    """Return the id of the saved job of this name, created or reset as needed.

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
    jobs = client.find_jobs(name) or _create_job(client, settings)
    job_id = int(jobs[0]["job_id"])
    if settings_differ(settings, client.get_job(job_id)["settings"]):
        if alive := client.active_runs(job_id):
            raise JobBusyError(
                f"Job {name!r} has changed, but its run {alive[0]} is still alive and would be "
                "repaired with the new settings. Wait until it has ended, or cancel it."
            )
        client.reset_job(job_id, settings)
    if access:
        permissions = permissions_to_set(access, client.get_permissions(job_id))
        if permissions is not None:
            client.set_permissions(job_id, permissions)
    return job_id


def _create_job(client: JobsClient, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Create the saved job, and return all of its name; the oldest is the one to use."""
    name = str(settings["name"])
    try:
        created = client.create_job(settings)
    except (ApiError, UnreachableError) as error:
        # The answer may have been lost after the job was made: then it is found below.
        if not is_transient(error):
            raise
        created = None
    # Two flow runs may both have found none: the oldest job is the one that all agree on.
    jobs = client.find_jobs(name)
    if not jobs:
        raise UnreachableError(
            f"Databricks did not answer when job {name!r} was created; try again."
        )
    if created is not None and jobs[0]["job_id"] != created:
        client.delete_job(created)
    return jobs
