"""What the engine needs to know of a job's settings, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RunIf(StrEnum):
    """When a task runs, given how the tasks that it depends on ended."""

    ALL_SUCCESS = "ALL_SUCCESS"
    AT_LEAST_ONE_SUCCESS = "AT_LEAST_ONE_SUCCESS"
    NONE_FAILED = "NONE_FAILED"
    ALL_DONE = "ALL_DONE"
    AT_LEAST_ONE_FAILED = "AT_LEAST_ONE_FAILED"
    ALL_FAILED = "ALL_FAILED"


class TaskKind(StrEnum):
    """What a task does; the values are the settings' field names."""

    NOTEBOOK = "notebook_task"
    SPARK_PYTHON = "spark_python_task"
    CONDITION = "condition_task"
    RUN_JOB = "run_job_task"
    FOR_EACH = "for_each_task"

    @property
    def starts_a_run(self) -> bool:
        """Whether it does its work in another run, and ends with that."""
        return self in {TaskKind.RUN_JOB, TaskKind.FOR_EACH}


class Operator(StrEnum):
    """How a condition task compares its operands."""

    EQUAL_TO = "EQUAL_TO"
    NOT_EQUAL = "NOT_EQUAL"
    GREATER_THAN = "GREATER_THAN"
    GREATER_THAN_OR_EQUAL = "GREATER_THAN_OR_EQUAL"
    LESS_THAN = "LESS_THAN"
    LESS_THAN_OR_EQUAL = "LESS_THAN_OR_EQUAL"


class ComputeKind(StrEnum):
    """Where a task runs; the values are the settings' field names."""

    JOB_CLUSTER = "job_cluster_key"
    NEW_CLUSTER = "new_cluster"
    EXISTING_CLUSTER = "existing_cluster_id"
    SERVERLESS = "environment_key"


@dataclass(frozen=True)
class Compute:
    """The compute of a task.

    Attributes:
        kind: Which of the four ways.
        name: The job cluster's key, the cluster's id or the environment's key; may be empty.
    """

    kind: ComputeKind
    name: str = ""


@dataclass(frozen=True)
class TaskSpec:
    """One task, as its run uses it.

    Attributes:
        key: ``task_key``.
        depends_on: Keys of the tasks it waits for.
        run_if: See ``RunIf``.
        disabled: Never run, unless a repair names it.
        max_retries: Retries after the first attempt; -1 for ever.
        retry_interval: Milliseconds from the start of an attempt to the start of the next.
        retry_on_timeout: Whether a time-out is retried too.
        timeout: Seconds; 0 for none.
        compute: Where it runs.
        outcomes: Which outcome it asks of a condition task that it depends on, by key.
        settings: The task's settings in full, as the API shows them.
    """

    key: str
    depends_on: tuple[str, ...] = ()
    run_if: RunIf = RunIf.ALL_SUCCESS
    disabled: bool = False
    max_retries: int = 0
    retry_interval: int = 0
    retry_on_timeout: bool = False
    timeout: int = 0
    compute: Compute = Compute(ComputeKind.SERVERLESS)
    outcomes: Mapping[str, str] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def kind(self) -> TaskKind:
        """What it does."""
        return next(kind for kind in TaskKind if kind in self.settings)

    @property
    def action(self) -> Mapping[str, Any]:
        """The settings of what it does: the content of ``notebook_task`` and the like."""
        action: Mapping[str, Any] = self.settings[self.kind]
        return action

    @property
    def path(self) -> str:
        """Path of its notebook or Python file; empty if it has none."""
        return str(self.action.get("notebook_path") or self.action.get("python_file") or "")


def task_spec(settings: Mapping[str, Any]) -> TaskSpec:
    """Return the spec of a task from settings that were checked before."""
    return TaskSpec(
        key=settings["task_key"],
        depends_on=tuple(item["task_key"] for item in settings.get("depends_on", ())),
        run_if=RunIf(settings.get("run_if", RunIf.ALL_SUCCESS)),
        disabled=settings.get("disabled", False),
        max_retries=settings.get("max_retries", 0),
        retry_interval=settings.get("min_retry_interval_millis", 0),
        retry_on_timeout=settings.get("retry_on_timeout", False),
        timeout=settings.get("timeout_seconds", 0),
        compute=_compute(settings),
        outcomes={
            item["task_key"]: item["outcome"]
            for item in settings.get("depends_on", ())
            if "outcome" in item
        },
        settings=settings,
    )


def notebook_task(path: str, source: str, parameters: Mapping[str, str]) -> TaskSpec:
    """Return the task of a notebook that another notebook runs; it is named after its path."""
    action = {"notebook_path": path, "source": source, "base_parameters": dict(parameters)}
    key = re.sub(r"\W", "_", path.rpartition("/")[2])[:100] or "notebook"
    return task_spec({"task_key": key, "run_if": RunIf.ALL_SUCCESS, "notebook_task": action})


def task_specs(job_settings: Mapping[str, Any]) -> dict[str, TaskSpec]:
    """Return the specs of all tasks of a job by key, in the order of the settings."""
    return {task["task_key"]: task_spec(task) for task in job_settings.get("tasks", ())}


def _compute(settings: Mapping[str, Any]) -> Compute:
    if "new_cluster" in settings:
        return Compute(ComputeKind.NEW_CLUSTER)
    for kind in (ComputeKind.JOB_CLUSTER, ComputeKind.EXISTING_CLUSTER):
        if kind in settings:
            return Compute(kind, settings[kind])
    return Compute(ComputeKind.SERVERLESS, settings.get("environment_key", ""))


def new_cluster(job_settings: Mapping[str, Any], task: TaskSpec) -> Mapping[str, Any]:
    """Return the settings of the cluster that is made for a task; empty if none is."""
    given: Mapping[str, Any] = task.settings.get("new_cluster", {})
    for item in job_settings.get("job_clusters", ()):
        if item["job_cluster_key"] == task.settings.get("job_cluster_key"):
            given = item["new_cluster"]
    return given


def ancestors(keys: set[str], tasks: Mapping[str, TaskSpec]) -> set[str]:
    """Return everything upstream of some tasks, themselves left out unless in a cycle."""
    return _closure(keys, {key: set(spec.depends_on) for key, spec in tasks.items()})


def descendants(keys: set[str], tasks: Mapping[str, TaskSpec]) -> set[str]:
    """Return everything downstream of some tasks, themselves left out unless in a cycle."""
    downstream: dict[str, set[str]] = {key: set() for key in tasks}
    for key, spec in tasks.items():
        for upstream in spec.depends_on:
            downstream.setdefault(upstream, set()).add(key)
    return _closure(keys, downstream)


def _closure(keys: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    frontier = set(keys)
    while frontier:
        frontier = {to for key in frontier for to in edges.get(key, ())} - reached
        reached |= frontier
    return reached
