"""The settings of jobs and tasks as models: the fields that are kept, and what the server fills in.

Other fields are ignored. The models are lenient where clients are known to be sloppy: numbers may
come as strings, and null or empty containers count as absent (``prune``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from blocks.local.workspace.errors import invalid, malformed
from blocks.local.workspace.specs import Operator, RunIf

Object = dict[str, Any]
_LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
TaskKey = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w\-]+$")]
ParameterName = Annotated[str, Field(min_length=1, pattern=r"^[\w\-.]+$")]


class Settings(BaseModel):
    """What all the models share."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class Dependency(Settings):
    """An entry of ``depends_on``; ``outcome`` is for dependencies on a condition task."""

    task_key: TaskKey
    outcome: Literal["true", "false"] | None = None


Source = Literal["WORKSPACE", "GIT"]


class NotebookTask(Settings):
    """``notebook_task``."""

    notebook_path: Annotated[str, Field(min_length=1)]
    source: Source | None = None
    base_parameters: dict[str, str] | None = None


class SparkPythonTask(Settings):
    """``spark_python_task``."""

    python_file: Annotated[str, Field(min_length=1)]
    source: Source | None = None
    parameters: list[str] | None = None


class ConditionTask(Settings):
    """``condition_task``."""

    op: Operator
    left: str
    right: str


class RunJobTask(Settings):
    """``run_job_task``."""

    job_id: int
    job_parameters: dict[str, str] | None = None
    notebook_params: dict[str, str] | None = None
    python_params: list[str] | None = None


class ForEachTask(Settings):
    """``for_each_task``: its task once for each input."""

    inputs: str
    concurrency: Annotated[int, Field(ge=1, le=100)] | None = None
    task: Task


class NewCluster(Settings):
    """``new_cluster``; its many attributes are kept, not checked."""

    model_config = ConfigDict(extra="allow")

    spark_version: str | None = None
    num_workers: Count | None = None
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
    notebook_task: NotebookTask | None = None
    spark_python_task: SparkPythonTask | None = None
    condition_task: ConditionTask | None = None
    run_job_task: RunJobTask | None = None
    for_each_task: ForEachTask | None = None
    existing_cluster_id: str | None = None
    new_cluster: NewCluster | None = None
    job_cluster_key: str | None = None
    environment_key: str | None = None
    libraries: list[Object] | None = None
    max_retries: Annotated[int, Field(ge=-1, le=_LARGEST)] | None = None
    min_retry_interval_millis: Count | None = None
    retry_on_timeout: bool | None = None
    timeout_seconds: Count = 0
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
    timeout_seconds: Count = 0
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


def prune(values: Mapping[str, Any]) -> Object:
    """Return a JSON object without the fields, at any depth, that are null or empty containers."""
    pruned = {name: _pruned(value) for name, value in values.items()}
    return {name: value for name, value in pruned.items() if value not in (None, {}, [])}


def _pruned(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return prune(value)
        case list():
            return [_pruned(item) for item in value if item is not None]
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
    raise invalid(f"Invalid value for field '{path}': {error['msg']}.")
