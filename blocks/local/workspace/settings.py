"""Checks of job settings, and the edits that ``jobs/update`` makes to them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from blocks.local.workspace.errors import invalid
from blocks.local.workspace.models import JobSettings, Object, Queue, Source, parse, prune
from blocks.local.workspace.specs import TaskKind
from blocks.local.workspace.task_checks import (
    OTHER_TASK_TYPES,
    check_task_types,
    check_tasks,
    with_nested,
)

_FIELDS_OF_SINGLE_TASK = frozenset(
    {
        *TaskKind,
        *OTHER_TASK_TYPES,
        "new_cluster",
        "existing_cluster_id",
        "libraries",
        "max_retries",
        "min_retry_interval_millis",
        "retry_on_timeout",
    }
)

_KEYS_OF_ARRAYS = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "environments": "environment_key",
    "parameters": "name",
}


def job_settings(values: Mapping[str, Any], *, queue_default: bool) -> Object:
    """Check the settings of a job and fill in what the server fills in.

    Args:
        values: Settings as a client sent them, pruned.
        queue_default: Whether the job queues when it does not say (API 2.2: yes).

    Returns:
        The settings as they are stored and shown.

    Raises:
        ApiError: Something is missing, wrong or contradictory.
    """
    if not values:
        raise invalid("Run settings must be specified.")
    if "job_clusters" in values and "tasks" not in values:
        raise invalid("Shared job cluster feature is only supported in multi-task jobs.")
    check_task_types(values.get("tasks"))
    settings = parse(JobSettings, {k: v for k, v in values.items() if k != "format"}, "settings")
    _check_triggers(settings)
    if settings.queue is None:
        settings.queue = Queue(enabled=queue_default)
    _fill_in_sources(settings)
    check_tasks(settings)
    stored: Object = settings.model_dump(mode="json", exclude_none=True)
    for cluster in _clusters(stored):
        fill_in_cluster(cluster, "settings.cluster_spec.new_cluster.")
    for task in stored.get("tasks", ()):
        if "depends_on" in task:
            task["depends_on"].sort(key=lambda dependency: dependency["task_key"])
    return stored


def one_time_settings(run_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``runs/submit`` request as the settings of a job that is not saved.

    A body of the old shape, with the task's fields at the top, becomes one task that is named
    after the run.

    Args:
        run_name: Name of the run.
        values: The request, pruned.

    Raises:
        ApiError: An old body names no cluster.
    """
    # None of these is part of a one-time run.
    saved_only = {"name", "job_clusters", "parameters", "schedule", "max_concurrent_runs"}
    given = {key: value for key, value in values.items() if key not in saved_only}
    if "tasks" in given or not given:
        return {**given, "name": run_name} if given else {}
    if "new_cluster" not in given and "existing_cluster_id" not in given:
        raise invalid("Either new_cluster or existing_cluster_id must be specified.")
    task = {key: value for key, value in given.items() if key in _FIELDS_OF_SINGLE_TASK}
    task["task_key"] = re.sub(r"\W", "_", run_name)[:100]
    rest = {key: value for key, value in given.items() if key not in _FIELDS_OF_SINGLE_TASK}
    return {**rest, "name": run_name, "tasks": [task]}


def merge(
    stored: Mapping[str, Any], changes: Mapping[str, Any], removed: list[str]
) -> dict[str, Any]:
    """Apply ``jobs/update``: fields are replaced, keyed arrays element by element.

    Args:
        stored: The job's settings.
        changes: ``new_settings``, pruned.
        removed: ``fields_to_remove``: names of fields, or ``tasks/<key>`` and the like.

    Returns:
        The new settings, not checked yet.
    """
    merged = dict(stored)
    for name in removed:
        field, _, key = name.partition("/")
        if not key:
            merged.pop(field, None)
        elif field in _KEYS_OF_ARRAYS:
            identifier = _KEYS_OF_ARRAYS[field]
            merged[field] = [item for item in merged.get(field, ()) if item[identifier] != key]
    for name, value in changes.items():
        if name in _KEYS_OF_ARRAYS and isinstance(value, list):
            identifier = _KEYS_OF_ARRAYS[name]
            old = {item[identifier]: item for item in merged.get(name, ())}
            new = {item.get(identifier): item for item in value if isinstance(item, dict)}
            merged[name] = list((old | new).values())
        else:
            merged[name] = value
    return prune(merged)


def _check_triggers(settings: JobSettings) -> None:
    styles = ("schedule", "trigger", "continuous")
    if len(given := [style for style in styles if getattr(settings, style) is not None]) > 1:
        raise invalid(f"Only one of {' and '.join(given)} can be specified.")
    if settings.git_source is not None and "git_provider" not in settings.git_source:
        raise invalid(
            "git_source.git_provider must be one of: github,gitlab,bitbucketcloud,"
            "azuredevopsservices,githubenterprise,bitbucketserver,gitlabenterpriseedition"
        )


def _fill_in_sources(settings: JobSettings) -> None:
    default: Source = "WORKSPACE" if settings.git_source is None else "GIT"
    for task in with_nested(settings.tasks or ()):
        for source in (task.notebook_task, task.spark_python_task):
            if source is not None and source.source is None:
                source.source = default


def _clusters(stored: Object) -> Iterator[Object]:
    for owner in (*stored.get("job_clusters", ()), *stored.get("tasks", ())):
        if "new_cluster" in owner:
            yield owner["new_cluster"]


def fill_in_cluster(cluster: Object, where: str) -> None:
    """Fill in what the server fills in.

    Args:
        cluster: The settings of a new cluster.
        where: Prefix of field names in errors.

    Raises:
        ApiError: It has no size.
    """
    if not {"num_workers", "autoscale", "is_single_node", "instance_pool_id"} & cluster.keys():
        raise invalid(f"Cluster validation error: Missing required field: {where}size")
    # Used up when the cluster is made, never shown.
    cluster.pop("apply_policy_default_values", None)
    if not any(name.endswith("_attributes") for name in cluster):
        cluster["aws_attributes"] = {"availability": "SPOT_WITH_FALLBACK", "zone_id": "auto"}
