"""A multi-task job's definition: its checks and its settings for the Jobs API. All pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, Field

from blocks.databricks.errors import JobSpecError

CLUSTER_KEY = "shared"
_TASK_KEY = re.compile(r"[\w\-]{1,100}", re.ASCII)
_SPEC_TAG = "prefect_spec"
# Limits of the Jobs API.
_PARAMETER_NAME = re.compile(r"[\w\-.]+", re.ASCII)
_JOB_PARAMETER_BYTES = 10_000
_TASK_PARAMETER_BYTES = 1_000_000
_TOKEN_CHARACTERS = 64


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


def check_tasks(
    tasks: Sequence[NotebookTask],
    parameters: Mapping[str, str] = MappingProxyType({}),
    token: str = "",
) -> None:
    """Check that Databricks can run these tasks with these parameters, without asking it.

    Rules: the Jobs API's own for task keys (1 to 100 word characters or dashes, unique),
    dependencies (known keys, no cycle), the names and the size of parameters, and tokens.

    Args:
        tasks: The job's tasks.
        parameters: Job parameters as a run is to get them: defaults and what overrides them.
        token: Idempotency token of the run; empty without one.

    Raises:
        JobSpecError: Lists every problem at once.
    """
    problems = [*_task_problems(tasks), *_parameter_problems(tasks, parameters)]
    if len(token) > _TOKEN_CHARACTERS:
        problems.append(
            f"the idempotency token has {len(token)} characters, and {_TOKEN_CHARACTERS} are "
            "allowed"
        )
    if problems:
        raise JobSpecError(f"The job cannot run: {'; '.join(problems)}.")


def overridden_parameters(
    tasks: Sequence[NotebookTask], parameters: Mapping[str, str]
) -> tuple[str, ...]:
    """Tell which parameters of tasks have no effect.

    Databricks hands every job parameter to every notebook, before the task's own parameter of the
    same name.

    Args:
        tasks: The job's tasks.
        parameters: The job's parameters.

    Returns:
        One sentence for each; none for a task's parameter that refers to the job's.
    """
    return tuple(
        f"Task {task.task_key!r} sets {name!r}, but its notebook gets the job parameter of the "
        "same name; rename one of the two."
        for task in tasks
        for name, value in sorted(task.parameters.items())
        if name in parameters and not _refers_to(value, name)
    )


def _refers_to(value: str, name: str) -> bool:
    return (
        re.fullmatch(rf"\{{\{{\s*job\.parameters\.`?{re.escape(name)}`?\s*\}}\}}", value)
        is not None
    )


def _task_problems(tasks: Sequence[NotebookTask]) -> Iterator[str]:
    keys = [task.task_key for task in tasks]
    if not tasks:
        yield "it has no tasks"
    for key in dict.fromkeys(keys):
        if not _TASK_KEY.fullmatch(key):
            yield f"task key {key!r} must be 1 to 100 letters, digits, dashes or underscores"
    for key in sorted(_repeated(keys)):
        yield f"task key {key!r} is used twice"
    for task in tasks:
        for upstream in task.depends_on:
            if upstream not in keys:
                yield (
                    f"task {task.task_key!r} depends on {upstream!r}, which is not a task of the "
                    "job"
                )
    try:
        TopologicalSorter({task.task_key: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        yield f"tasks depend on each other in a circle: {' → '.join(error.args[1])}"


def _parameter_problems(
    tasks: Sequence[NotebookTask], parameters: Mapping[str, str]
) -> Iterator[str]:
    for name in parameters:
        if not _PARAMETER_NAME.fullmatch(name):
            yield (
                f"the name of job parameter {name!r} must be letters, digits, dashes, dots or "
                "underscores"
            )
    if (size := _json_bytes(parameters)) > _JOB_PARAMETER_BYTES:
        yield _too_large("the job parameters", size, _JOB_PARAMETER_BYTES)
    for task in tasks:
        if (size := _json_bytes(task.parameters)) > _TASK_PARAMETER_BYTES:
            yield _too_large(
                f"the parameters of task {task.task_key!r}", size, _TASK_PARAMETER_BYTES
            )


def _json_bytes(parameters: Mapping[str, str]) -> int:
    text = json.dumps(dict(parameters), ensure_ascii=False, separators=(",", ":"))
    # A file name may hold bytes that are no text, which JSON cannot say either.
    return len(text.encode(errors="backslashreplace"))


def _too_large(what: str, size: int, limit: int) -> str:
    return f"{what} take {size:,} bytes as JSON, and {limit:,} are allowed; pass a path instead"


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
