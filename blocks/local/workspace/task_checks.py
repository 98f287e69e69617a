"""Checks of the tasks of a job: their types, their compute, their graph. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from blocks.local.workspace.errors import invalid
from blocks.local.workspace.models import JobSettings, SparkPythonTask, Task
from blocks.local.workspace.notebook.dbfs import is_dbfs
from blocks.local.workspace.references import UnknownReferenceError, check_references
from blocks.local.workspace.specs import TaskKind

MAX_TASKS = 1000
MAX_JOB_CLUSTERS = 100

# Every task type of the API but the ones that this workspace runs (``TaskKind``).
OTHER_TASK_TYPES = (
    "alert_task",
    "clean_rooms_notebook_task",
    "dashboard_task",
    "dbt_cloud_task",
    "dbt_platform_task",
    "dbt_task",
    "gen_ai_compute_task",
    "pipeline_task",
    "power_bi_task",
    "python_wheel_task",
    "spark_jar_task",
    "spark_submit_task",
    "sql_task",
)


def with_nested(tasks: Iterable[Task]) -> Iterator[Task]:
    """Yield tasks and what their for-each tasks repeat."""
    for task in tasks:
        yield task
        if task.for_each_task is not None:
            yield task.for_each_task.task


def check_task_types(tasks: object) -> None:
    """Check, before anything else about tasks, that each is of one type that runs here.

    Args:
        tasks: As a client sent them; what is no list of objects is left to the models.

    Raises:
        ApiError: A task is of another type, of none or of several.
    """
    for task in tasks if isinstance(tasks, list) else ():
        if not isinstance(task, dict):
            continue
        _check_type(task)
        match task.get("for_each_task"):
            case {"task": dict() as nested}:
                _check_type(nested)
                if TaskKind.FOR_EACH in nested:
                    key = task.get("task_key")
                    raise invalid(f"Task '{key}' has a for_each_task inside its for_each_task.")


def _check_type(task: Mapping[str, object]) -> None:
    key = task.get("task_key")
    for name in OTHER_TASK_TYPES:
        if name in task:
            raise invalid(
                f"Task '{key}' is a {name}; the local workspace runs {', '.join(TaskKind)} only."
            )
    match [kind for kind in TaskKind if kind in task]:
        case [_]:
            pass
        case []:
            raise invalid(f"Task '{key}' does not specify a task type such as notebook_task.")
        case several:
            raise invalid(f"Task '{key}' can only have one of {' and '.join(several)}.")


def check_tasks(settings: JobSettings) -> None:
    """Check what the models cannot: what concerns several tasks or fields at once.

    Raises:
        ApiError: The first thing that is wrong.
    """
    tasks = settings.tasks or []
    job_cluster_keys = [cluster.job_cluster_key for cluster in settings.job_clusters or ()]
    if len(tasks) > MAX_TASKS:
        raise invalid(f"A job can have {MAX_TASKS} tasks at most, not {len(tasks)}.")
    if len(job_cluster_keys) > MAX_JOB_CLUSTERS:
        raise invalid(f"A job can have {MAX_JOB_CLUSTERS} job clusters at most.")
    _check_unique(job_cluster_keys, "job_cluster_key")
    _check_unique([task.task_key for task in tasks], "task_key")
    for task in with_nested(tasks):
        _check_compute(task, job_cluster_keys)
        _check_source(task, settings)
    _check_graph({task.task_key: [d.task_key for d in task.depends_on or ()] for task in tasks})
    _check_outcomes(tasks)
    _check_references(tasks)


def _check_compute(task: Task, job_cluster_keys: list[str]) -> None:
    given = [task.existing_cluster_id, task.new_cluster, task.job_cluster_key]
    if sum(value is not None for value in given) > 1:
        raise invalid(
            "Only one of job_cluster_key, new_cluster, or existing_cluster_id can be specified"
            f" for task '{task.task_key}'."
        )
    if task.job_cluster_key is not None and task.job_cluster_key not in job_cluster_keys:
        raise invalid(
            f"Job cluster '{task.job_cluster_key}' is not defined in field 'job_clusters'."
        )


def _check_source(task: Task, settings: JobSettings) -> None:
    for code in (task.notebook_task, task.spark_python_task):
        if code is None:
            continue
        path = code.python_file if isinstance(code, SparkPythonTask) else code.notebook_path
        if code.source == "GIT":
            _check_git(task.task_key, path, settings.git_source or {})
        elif not path.startswith("/") and not (code is task.spark_python_task and is_dbfs(path)):
            raise invalid("Only absolute paths are currently supported. Paths must begin with '/'.")


def _check_git(key: str, path: str, git_source: Mapping[str, object]) -> None:
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise invalid(f"Task '{key}' has source GIT: its path must be relative to the repository.")
    url = str(git_source.get("git_url", ""))
    if urlsplit(url).scheme not in {"", "file"} or not url:
        raise invalid(
            f"Task '{key}' has source GIT: the local workspace reads repositories of this machine"
            " only; set git_source.git_url to a path or a file:// URL."
        )
    if sum(name in git_source for name in ("git_branch", "git_tag", "git_commit")) != 1:
        raise invalid("Exactly one of git_branch, git_tag and git_commit must be specified.")


def _check_unique(keys: list[str], name: str) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise invalid(f"Duplicate {name} '{key}' is not allowed.")
        seen.add(key)


def _check_graph(depends_on: Mapping[str, list[str]]) -> None:
    for key, upstream in depends_on.items():
        if key in upstream:
            raise invalid(f"Invalid dependency graph, task '{key}' can not reference itself.")
        for other in upstream:
            if other not in depends_on:
                raise invalid(
                    f"Invalid dependency graph, task '{key}' depends on unknown task '{other}'."
                )
    open_tasks = {key: set(upstream) for key, upstream in depends_on.items()}
    while ready := {
        key for key, upstream in open_tasks.items() if not upstream & open_tasks.keys()
    }:
        for key in ready:
            del open_tasks[key]
    if open_tasks:
        cycle = ", ".join(f"'{key}'" for key in sorted(open_tasks))
        raise invalid(f"Invalid dependency graph, there is a cycle among the tasks {cycle}.")


def _check_outcomes(tasks: list[Task]) -> None:
    conditions = {task.task_key for task in tasks if task.condition_task is not None}
    for task in tasks:
        for dependency in task.depends_on or ():
            if dependency.outcome is not None and dependency.task_key not in conditions:
                raise invalid(
                    f"Task '{task.task_key}' depends on an outcome of '{dependency.task_key}',"
                    " which is no condition task."
                )


def _check_references(tasks: list[Task]) -> None:
    keys = {task.task_key for task in tasks}
    for task in with_nested(tasks):
        for kind in TaskKind:
            action = getattr(task, kind)
            if action is None:
                continue
            try:
                check_references(action.model_dump(exclude={"task"}), keys)
            except UnknownReferenceError as error:
                raise invalid(f"Task '{task.task_key}': {error}") from None
