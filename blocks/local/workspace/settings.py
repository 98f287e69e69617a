"""The settings of a job, as the API takes them and gives them back.

The models name every field that is kept, with the defaults that the server fills in; other fields
are ignored. They are lenient where clients are known to be sloppy: numbers may come as strings,
and null or empty containers count as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from blocks.local.workspace.errors import ApiError, invalid, malformed
from blocks.local.workspace.specs import RunIf

MAX_TASKS = 1000
MAX_JOB_CLUSTERS = 100

Object = dict[str, Any]
Seconds = Annotated[int, Field(ge=0)]
TaskKey = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w\-]+$")]
ParameterName = Annotated[str, Field(min_length=1, pattern=r"^[\w\-.]+$")]


class Settings(BaseModel):
    """What all the models share."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class Dependency(Settings):
    """An entry of ``depends_on``."""

    task_key: TaskKey


class NotebookTask(Settings):
    """``notebook_task``."""

    notebook_path: Annotated[str, Field(min_length=1)]
    source: Literal["WORKSPACE", "GIT"] = "WORKSPACE"
    base_parameters: dict[str, str] | None = None


class NewCluster(Settings):
    """``new_cluster``; its many attributes are kept, not checked."""

    model_config = ConfigDict(extra="allow")

    spark_version: str | None = None
    num_workers: Annotated[int, Field(ge=0)] | None = None
    autoscale: Object | None = None
    data_security_mode: str = "SINGLE_USER"
    enable_elastic_disk: bool = False


class Task(Settings):
    """A task of a job or of a one-time run."""

    task_key: TaskKey
    description: str | None = None
    depends_on: list[Dependency] | None = None
    run_if: RunIf = RunIf.ALL_SUCCESS
    disabled: bool | None = None
    notebook_task: NotebookTask
    existing_cluster_id: str | None = None
    new_cluster: NewCluster | None = None
    job_cluster_key: str | None = None
    environment_key: str | None = None
    libraries: list[Object] | None = None
    max_retries: Annotated[int, Field(ge=-1)] | None = None
    min_retry_interval_millis: Annotated[int, Field(ge=0)] | None = None
    retry_on_timeout: bool | None = None
    timeout_seconds: Seconds = 0
    disable_auto_optimization: bool | None = None
    email_notifications: Object = {}
    webhook_notifications: Object | None = None
    notification_settings: Object | None = None
    health: Object | None = None


class JobCluster(Settings):
    """An entry of ``job_clusters``."""

    job_cluster_key: TaskKey
    new_cluster: NewCluster


class Environment(Settings):
    """An entry of ``environments``."""

    environment_key: TaskKey
    spec: Object | None = None


class Parameter(Settings):
    """An entry of ``parameters``."""

    name: ParameterName
    default: str


class Queue(Settings):
    """``queue``."""

    enabled: bool


class JobSettings(Settings):
    """The settings of a saved job."""

    name: Annotated[str, Field(max_length=4096)] = "Untitled"
    description: Annotated[str, Field(max_length=27_700)] | None = None
    tasks: list[Task] | None = None
    job_clusters: list[JobCluster] | None = None
    environments: list[Environment] | None = None
    parameters: list[Parameter] | None = None
    max_concurrent_runs: Annotated[int, Field(ge=0, le=1000)] = 1
    queue: Queue | None = None
    timeout_seconds: Seconds = 0
    tags: Annotated[dict[str, str], Field(max_length=25)] | None = None
    email_notifications: Object = {}
    webhook_notifications: Object = {}
    notification_settings: Object | None = None
    health: Object | None = None
    git_source: Object | None = None
    schedule: Object | None = None
    trigger: Object | None = None
    continuous: Object | None = None
    performance_target: str | None = None
    run_as: Object | None = None
    edit_mode: str | None = None
    deployment: Object | None = None
    budget_policy_id: str | None = None
    parent_path: str | None = None
    # Ignored on write: every job is a multi-task job since API 2.1.
    format: Literal["MULTI_TASK"] = Field(default="MULTI_TASK", init=False)


# Every task type of the API but the ones that this workspace runs. To add one: give it a model,
# a field in ``Task`` and a branch where the engine executes a task.
_OTHER_TASK_TYPES = (
    "alert_task",
    "clean_rooms_notebook_task",
    "condition_task",
    "dashboard_task",
    "dbt_cloud_task",
    "dbt_platform_task",
    "dbt_task",
    "for_each_task",
    "gen_ai_compute_task",
    "pipeline_task",
    "power_bi_task",
    "python_wheel_task",
    "run_job_task",
    "spark_jar_task",
    "spark_python_task",
    "spark_submit_task",
    "sql_task",
)

_KEYS_OF_ARRAYS = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "environments": "environment_key",
    "parameters": "name",
}


def prune(value: Any) -> Any:
    """Return a JSON value without the object fields that are null or an empty container."""
    match value:
        case dict():
            pruned = {key: prune(item) for key, item in value.items()}
            return {key: item for key, item in pruned.items() if item not in (None, {}, [])}
        case list():
            return [prune(item) for item in value if item is not None]
        case _:
            return value


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], values: Mapping[str, Any], where: str = "") -> Model:
    """Return a request, or a part of one, as its model.

    Args:
        model: What it should be.
        values: Pruned JSON.
        where: Prefix of field names in errors (``settings``).

    Raises:
        ApiError: A field is missing or has a wrong type or value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        _refuse(error.errors(include_url=False)[0], where)


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
    _check_task_types(values.get("tasks"))
    settings = parse(JobSettings, {k: v for k, v in values.items() if k != "format"}, "settings")
    _check_triggers(settings)
    if settings.queue is None:
        settings.queue = Queue(enabled=queue_default)
    stored: Object = settings.model_dump(mode="json", exclude_none=True)
    check_tasks(settings.tasks or [], [c.job_cluster_key for c in settings.job_clusters or []])
    for cluster in _clusters(stored):
        _fill_in_cluster(cluster)
    for task in stored.get("tasks", ()):
        if "depends_on" in task:
            task["depends_on"].sort(key=lambda dependency: dependency["task_key"])
    return stored


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
    return prune(merged)  # type: ignore[no-any-return]  # prune keeps an object an object


def check_tasks(tasks: list[Task], job_cluster_keys: list[str]) -> None:
    """Check what concerns several tasks at once: keys, compute, dependencies.

    Raises:
        ApiError: The first thing that is wrong.
    """
    if len(tasks) > MAX_TASKS:
        raise invalid(f"A job can have {MAX_TASKS} tasks at most, not {len(tasks)}.")
    if len(job_cluster_keys) > MAX_JOB_CLUSTERS:
        raise invalid(f"A job can have {MAX_JOB_CLUSTERS} job clusters at most.")
    _check_unique(job_cluster_keys, "job_cluster_key")
    _check_unique([task.task_key for task in tasks], "task_key")
    for task in tasks:
        _check_compute(task, job_cluster_keys)
        if task.notebook_task.source == "GIT":
            raise invalid(
                f"Task '{task.task_key}' takes its notebook from GIT; the local workspace runs"
                " notebooks with source WORKSPACE only."
            )
        if not task.notebook_task.notebook_path.startswith("/"):
            raise invalid(
                "Only absolute paths are currently supported. Paths must begin with '/'."
            )
    _check_graph({task.task_key: [d.task_key for d in task.depends_on or ()] for task in tasks})


def _check_task_types(tasks: Any) -> None:
    for task in tasks if isinstance(tasks, list) else ():
        if not isinstance(task, dict) or "notebook_task" in task:
            continue
        key = task.get("task_key")
        for name in _OTHER_TASK_TYPES:
            if name in task:
                raise invalid(
                    f"Task '{key}' is a {name}; the local workspace runs notebook_task only."
                )
        raise invalid(f"Task '{key}' does not specify a task type such as notebook_task.")


def _check_triggers(settings: JobSettings) -> None:
    styles = ("schedule", "trigger", "continuous")
    if len(given := [style for style in styles if getattr(settings, style) is not None]) > 1:
        raise invalid(f"Only one of {' and '.join(given)} can be specified.")
    if settings.git_source is not None and "git_provider" not in settings.git_source:
        raise invalid(
            "git_source.git_provider must be one of: github,gitlab,bitbucketcloud,"
            "azuredevopsservices,githubenterprise,bitbucketserver,gitlabenterpriseedition"
        )


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
    while ready := {key for key, upstream in open_tasks.items() if not upstream & open_tasks.keys()}:
        for key in ready:
            del open_tasks[key]
    if open_tasks:
        cycle = ", ".join(f"'{key}'" for key in sorted(open_tasks))
        raise invalid(f"Invalid dependency graph, there is a cycle among the tasks {cycle}.")


def _clusters(stored: Object) -> Iterator[Object]:
    for owner in (*stored.get("job_clusters", ()), *stored.get("tasks", ())):
        if "new_cluster" in owner:
            yield owner["new_cluster"]


def _fill_in_cluster(cluster: Object) -> None:
    if not {"num_workers", "autoscale", "is_single_node", "instance_pool_id"} & cluster.keys():
        raise invalid(
            "Cluster validation error: Missing required field: settings.cluster_spec.new_cluster.size"
        )
    # Used up when the cluster is made, never shown.
    cluster.pop("apply_policy_default_values", None)
    if not any(name.endswith("_attributes") for name in cluster):
        cluster["aws_attributes"] = {"availability": "SPOT_WITH_FALLBACK", "zone_id": "auto"}


_JSON_TYPES = {
    dict: "OBJECT",
    list: "ARRAY",
    str: "STRING",
    bool: "BOOLEAN",
    int: "NUMBER",
    float: "NUMBER",
}
_EXPECTED = {
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "list_type": "array",
    "tuple_type": "array",
    "string_type": "string",
    "int_type": "number",
    "int_parsing": "number",
    "int_from_float": "integer",
    "bool_type": "boolean",
    "bool_parsing": "boolean",
}


def _refuse(error: ErrorDetails, where: str) -> NoReturn:
    names = [part for part in error["loc"] if isinstance(part, str)]
    path = ".".join([where, *names] if where else names)
    if error["type"] == "missing":
        raise invalid(f"Missing required field: {path}")
    if expected := _EXPECTED.get(error["type"]):
        found = _JSON_TYPES.get(type(error["input"]), "NULL")
        raise malformed(f"Expected {expected} for field '{names[-1]}', found {found}")
    raise ApiError(
        400, "INVALID_PARAMETER_VALUE", f"Invalid value for field '{path}': {error['msg']}."
    )
