"""Where each task of a job runs: on a job cluster, an existing one or serverless. All pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from blocks.databricks.spec import SHARED, JobSpec, NotebookTask


class ComputeKind(StrEnum):
    """The three ways; the values are the field names of a task in the Jobs API."""

    JOB_CLUSTER = "job_cluster_key"
    EXISTING_CLUSTER = "existing_cluster_id"
    SERVERLESS = "environment_key"


@dataclass(frozen=True)
class Compute:
    """Where a task runs. Tasks with equal compute share it, and what is installed there.

    Attributes:
        kind: Which of the three ways.
        name: The job cluster's key, the cluster's id or the environment's key. Empty on serverless
            compute for the environment that the notebook itself brings.
    """

    kind: ComputeKind
    name: str

    def __str__(self) -> str:
        """Name it as it stands in a sentence."""
        match self.kind:
            case ComputeKind.JOB_CLUSTER:
                return f"job cluster {self.name!r}"
            case ComputeKind.EXISTING_CLUSTER:
                return f"cluster {self.name!r}"
            case ComputeKind.SERVERLESS:
                return f"environment {self.name!r}" if self.name else "serverless compute"

    @property
    def settings(self) -> Mapping[str, str]:
        """The part of a task's settings that says this."""
        return {self.kind.value: self.name} if self.name else {}


def compute_of(spec: JobSpec, task: NotebookTask) -> Compute:
    """Return where a task runs: where it says, or else where the job's other tasks run."""
    for kind, name in _named(task).items():
        return Compute(kind, name)
    if spec.existing_cluster_id:
        return Compute(ComputeKind.EXISTING_CLUSTER, spec.existing_cluster_id)
    if spec.job_clusters:
        return Compute(ComputeKind.JOB_CLUSTER, SHARED)
    return Compute(ComputeKind.SERVERLESS, SHARED if spec.environments else "")


def used(spec: JobSpec, kind: ComputeKind) -> tuple[str, ...]:
    """Return the names of this kind that tasks run on, in the order of their first use."""
    computes = (compute_of(spec, task) for task in spec.tasks)
    return tuple(dict.fromkeys(each.name for each in computes if each.kind is kind and each.name))


def compute_problems(spec: JobSpec) -> Iterator[str]:
    """Tell what is wrong with where the tasks run, one clause for each problem."""
    for task in spec.tasks:
        if len(kinds := _named(task)) > 1:
            yield f"task {task.task_key!r} names {' and '.join(kinds)}, and can have only one"
    for kind, field, declared in (
        (ComputeKind.JOB_CLUSTER, "job_clusters", set(spec.job_clusters)),
        (ComputeKind.SERVERLESS, "environments", set(spec.environments)),
    ):
        for task in spec.tasks:
            compute = compute_of(spec, task)
            if compute.kind is kind and compute.name and compute.name not in declared:
                default = "" if _named(task) else ", as it names no compute"
                has = ", ".join(map(repr, sorted(declared))) or "nothing"
                yield (f"task {task.task_key!r} runs on {compute}{default}, but {field} has {has}")
        # The cluster that is there by default may be left over: it is not started.
        for name in sorted(declared.difference(used(spec, kind))):
            if kind is ComputeKind.SERVERLESS or name != SHARED:
                yield f"no task runs on {Compute(kind, name)}; set a task's {kind}, or take it out"


def _named(task: NotebookTask) -> dict[ComputeKind, str]:
    named = {kind: str(getattr(task, kind)) for kind in ComputeKind}
    return {kind: name for kind, name in named.items() if name}
