"""A job's definition as the settings that ``jobs/create`` and ``jobs/reset`` take. All pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from blocks.databricks.compute import ComputeKind, compute_of, used
from blocks.databricks.merging import entry_key, merge
from blocks.databricks.packages import dependencies, libraries
from blocks.databricks.spec import GitSource, JobSpec, NotebookTask

SPEC_TAG = "prefect_spec"
# What says where a task runs, and so may not come from elsewhere than the fields for that.
_COMPUTE_FIELDS = (*ComputeKind, "new_cluster")


def job_settings(spec: JobSpec, notebook_paths: Mapping[str, str]) -> dict[str, Any]:
    """Build the settings of ``jobs/create`` and ``jobs/reset``.

    Args:
        spec: A definition without problems.
        notebook_paths: Workspace path of each uploaded notebook, by task key.

    Returns:
        Plain JSON. A tag holds a digest of it all, so that :func:`settings_differ` also notices
        what was taken out of a definition.
    """
    settings = {"queue": {"enabled": True}, **_assemble(spec, notebook_paths)[0]}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return {**settings, "tags": {**settings.get("tags", {}), SPEC_TAG: digest}}


def extra_settings_problems(spec: JobSpec) -> list[str]:
    """Tell which extra settings contradict the rest of a definition, one clause for each."""
    return _assemble(spec, MappingProxyType({}))[1]


def settings_differ(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Say whether a saved job has to be reset: its definition changed, or somebody edited it.

    Args:
        wanted: What :func:`job_settings` made.
        current: The ``settings`` of ``jobs/get``.
    """
    digest = (current.get("tags") or {}).get(SPEC_TAG)
    return digest != wanted["tags"][SPEC_TAG] or _contradicts(current, wanted)


def _contradicts(shown: object, wanted: object) -> bool:
    """Say whether the server shows something else than what was sent.

    It adds defaults and sorts ``depends_on``. Nor does it show everything: ``run_as`` may be
    write-only, a default that was sent may be left out, and so may what it does not know. A value
    that is not shown is therefore no contradiction, but a list that is not shown is empty.
    """
    if isinstance(wanted, Mapping):
        fields = shown if isinstance(shown, Mapping) else {}
        return any(_contradicts(fields.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        items = shown if isinstance(shown, list) else []
        return len(items) != len(wanted) or any(
            _contradicts(item, other)
            for item, other in zip(_sorted(items), _sorted(wanted), strict=True)
        )
    return shown is not None and shown != wanted


def _sorted(items: list[Any]) -> list[Any]:
    """Sort a list of objects by the key that names them; the API may reorder those."""
    key = entry_key(items)
    return sorted(items, key=lambda item: str(item[key])) if key else items


def _assemble(spec: JobSpec, notebook_paths: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings but for what is added to all jobs, and what is wrong with extra ones."""
    problems: list[str] = []
    tasks = []
    for task in spec.tasks:
        made = _task_settings(spec, task, notebook_paths.get(task.task_key, task.notebook))
        where = f"extra_settings of task {task.task_key!r}"
        merged, more = merge(made, task.extra_settings, where)
        tasks.append(merged)
        problems += more
    settings, more = merge(_settings_of_fields(spec, tasks), spec.extra_settings, "extra_settings")
    problems += more
    final = {entry["task_key"]: entry for entry in settings["tasks"]}
    for task in spec.tasks:
        foreign = final[task.task_key].keys() - compute_of(spec, task).settings.keys()
        problems += (
            f"task {task.task_key!r} has {name} in its extra settings; where it runs is said by "
            "its own fields"
            for name in _COMPUTE_FIELDS
            if name in foreign
        )
    if "access_control_list" in settings:
        problems.append("access_control_list is a field of the block, and no setting of a job")
    empty: tuple[Any, ...] = ({}, [], None)
    return {name: value for name, value in settings.items() if value not in empty}, problems


def _settings_of_fields(spec: JobSpec, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": spec.job_name,
        "max_concurrent_runs": spec.max_concurrent_runs,
        "timeout_seconds": spec.timeout_seconds,
        "tags": spec.tags,
        "job_clusters": [
            {"job_cluster_key": key, "new_cluster": spec.job_clusters.get(key, {})}
            for key in used(spec, ComputeKind.JOB_CLUSTER)
        ],
        "environments": [
            {"environment_key": key, "spec": _environment(spec, key)}
            for key in used(spec, ComputeKind.SERVERLESS)
        ],
        "parameters": [{"name": n, "default": d} for n, d in sorted(spec.parameters.items())],
        "git_source": _git_source(spec.git_source),
        "email_notifications": spec.email_notifications,
        "webhook_notifications": spec.webhook_notifications,
        "notification_settings": spec.notification_settings,
        "run_as": spec.run_as.principal,
        "tasks": tasks,
    }


def _task_settings(spec: JobSpec, task: NotebookTask, notebook_path: str) -> dict[str, Any]:
    compute = compute_of(spec, task)
    on_cluster = compute.kind is not ComputeKind.SERVERLESS
    installed = libraries(spec, task) if on_cluster else []
    return {
        "task_key": task.task_key,
        **compute.settings,
        **({"libraries": installed} if installed else {}),
        "depends_on": [{"task_key": key} for key in sorted(task.depends_on)],
        "run_if": task.run_if,
        "notebook_task": {
            "notebook_path": notebook_path,
            "source": task.source,
            "base_parameters": task.parameters,
        },
    }


def _environment(spec: JobSpec, key: str) -> dict[str, Any]:
    environment = dict(spec.environments.get(key, {}))
    if installed := dependencies(spec, key):
        environment["dependencies"] = installed
    return environment


def _git_source(source: GitSource) -> dict[str, str]:
    if not source.git_url:
        return {}
    repository = {"git_url": source.git_url, "git_provider": source.git_provider}
    return {**repository, **source.references}
