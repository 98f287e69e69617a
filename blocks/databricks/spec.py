"""A multi-task job's definition: its checks and its settings for the Jobs API. All pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel, Field

from blocks.databricks.errors import JobSpecError

CLUSTER_KEY = "shared"
_TASK_KEY = re.compile(r"[\w\-]{1,100}", re.ASCII)
_SPEC_TAG = "prefect_spec"


class NotebookTask(BaseModel):
    """One notebook as a task of the job."""

    task_key: str = Field(
        description="The task's name in the job: letters, digits, dashes and underscores."
    )
    notebook: str = Field(
        description=(
            "Path of the notebook file (Databricks source format, .py), absolute or relative to "
            "the project's root. It is uploaded to the workspace before a run."
        )
    )
    depends_on: list[str] = Field(
        default=[], description="Keys of the tasks that have to succeed before this one starts."
    )
    parameters: dict[str, str] = Field(
        default={},
        description=(
            "Values for the notebook's widgets. Dynamic value references such as "
            "{{job.parameters.country}} are resolved by Databricks."
        ),
    )


def check_tasks(tasks: Sequence[NotebookTask]) -> None:
    """Check that the tasks form a job that Databricks can run.

    Rules: the Jobs API's own for task keys (1 to 100 word characters or dashes, unique) and
    dependencies (known keys, no cycle).

    Raises:
        JobSpecError: Lists every problem at once.
    """
    keys = [task.task_key for task in tasks]
    problems = [] if tasks else ["it has no tasks"]
    problems += [
        f"task key {key!r} must be 1 to 100 letters, digits, dashes or underscores"
        for key in dict.fromkeys(keys)
        if not _TASK_KEY.fullmatch(key)
    ]
    problems += [f"task key {key!r} is used twice" for key in sorted(_repeated(keys))]
    problems += [
        f"task {task.task_key!r} depends on {upstream!r}, which is not a task of the job"
        for task in tasks
        for upstream in task.depends_on
        if upstream not in keys
    ]
    try:
        TopologicalSorter({task.task_key: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        problems.append(f"tasks depend on each other in a circle: {' → '.join(error.args[1])}")
    if problems:
        raise JobSpecError(f"The job cannot run: {'; '.join(problems)}.")


def _repeated(keys: Sequence[str]) -> set[str]:
    return {key for key in keys if keys.count(key) > 1}


def workspace_path(folder: str, notebook_name: str, source: str) -> str:
    """Return where a notebook of this content is stored: another content, another path.

    A run that is repaired later finds the notebook that it started with, whatever has been
    uploaded since.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return f"{folder.rstrip('/')}/{digest}/{notebook_name}"


def job_settings(
    *,
    job_name: str,
    tasks: Sequence[NotebookTask],
    notebook_paths: Mapping[str, str],
    parameters: Mapping[str, str],
    new_cluster: Mapping[str, Any],
    max_concurrent_runs: int,
) -> dict[str, Any]:
    """Build the settings of ``jobs/create`` and ``jobs/reset``.

    Args:
        job_name: The saved job's name.
        tasks: The notebooks and what they wait for.
        notebook_paths: Workspace path of each task's notebook, by task key.
        parameters: Job parameters with their defaults.
        new_cluster: Specification of the one job cluster that all tasks share.
        max_concurrent_runs: How many runs of the job may be alive at once.

    Returns:
        Plain JSON. A tag holds a digest of it all, so that :func:`settings_differ` also notices
        what was taken out of a definition.
    """
    settings: dict[str, Any] = {
        "name": job_name,
        "max_concurrent_runs": max_concurrent_runs,
        "queue": {"enabled": True},
        "job_clusters": [{"job_cluster_key": CLUSTER_KEY, "new_cluster": dict(new_cluster)}],
        "parameters": [{"name": n, "default": d} for n, d in sorted(parameters.items())],
        "tasks": [
            {
                "task_key": task.task_key,
                "job_cluster_key": CLUSTER_KEY,
                "depends_on": [{"task_key": key} for key in sorted(task.depends_on)],
                "notebook_task": {
                    "notebook_path": notebook_paths[task.task_key],
                    "source": "WORKSPACE",
                    "base_parameters": dict(task.parameters),
                },
            }
            for task in tasks
        ],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return {**settings, "tags": {_SPEC_TAG: digest}}


def settings_differ(wanted: object, current: object) -> bool:
    """Say whether a saved job has to be reset.

    The server adds defaults and sorts ``depends_on``, so ``current`` may hold more than ``wanted``
    but nothing else. An empty container counts as absent, as it does for the API.
    """
    if isinstance(wanted, Mapping):
        held = current if isinstance(current, Mapping) else {}
        return any(settings_differ(value, held.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        held_items = current if isinstance(current, list) else []
        return len(wanted) != len(held_items) or any(
            settings_differ(item, other)
            for item, other in zip(_keyed(wanted), _keyed(held_items), strict=True)
        )
    return wanted != current


def _keyed(items: list[Any]) -> list[Any]:
    """Sort a list of objects by the key that names them; the API may reorder those."""
    for key in ("task_key", "job_cluster_key", "name"):
        if all(isinstance(item, Mapping) and key in item for item in items):
            return sorted(items, key=lambda item: str(item[key]))
    return items
