"""The arguments of the Jobs API's endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from blocks.local.workspace.errors import invalid
from blocks.local.workspace.models import JobSettings, Object, Queue, Settings
from blocks.local.workspace.repair import RepairChoice
from blocks.local.workspace.runs import Parameters

# Ids are 64-bit numbers; anything larger names nothing.
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Moment = Annotated[int, Field(ge=0, lt=2**63)]
_MAX_TOKEN_LENGTH = 64
# The cloud limits the JSON of each legacy slot.
_MAX_SLOT_BYTES = 10_000


class Anything(BaseModel):
    """A request that is checked elsewhere: all of it is in ``model_extra``."""

    model_config = ConfigDict(extra="allow")

    @property
    def values(self) -> Object:
        """The arguments as they came."""
        return self.model_extra or {}


class Nothing(Settings):
    """A request without arguments."""


class JobId(Settings):
    """``jobs/delete``."""

    job_id: Id


class JobGet(Settings):
    """``jobs/get``."""

    job_id: Id
    page_token: str = ""


@dataclass(frozen=True)
class DescribedAs:
    """Lets the API's description of a field be that of a model that checks it elsewhere.

    Attributes:
        model: The model.
    """

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the model."""
        return handler(self.model.__pydantic_core_schema__)


# Checked once they are merged with what is stored: the parts of an update may be incomplete.
_NewSettings = Annotated[Object, DescribedAs(JobSettings)]


class JobReset(Settings):
    """``jobs/reset``."""

    job_id: Id
    new_settings: _NewSettings = Field(default_factory=dict)


class JobUpdate(Settings):
    """``jobs/update``."""

    job_id: Id
    new_settings: _NewSettings = Field(default_factory=dict)
    fields_to_remove: list[str] = Field(default_factory=list)


class JobList(Settings):
    """``jobs/list``."""

    limit: Annotated[int, Field(ge=0)] = 20
    offset: Annotated[int, Field(ge=0, lt=2**62)] = 0
    name: str | None = None
    expand_tasks: bool = False
    page_token: str = ""


class _TaskParameters(Settings):
    """The ways to give parameters to tasks: by the job's, or by the legacy slots."""

    job_parameters: dict[str, str] = Field(default_factory=dict)
    notebook_params: dict[str, str] = Field(default_factory=dict)
    jar_params: list[str] = Field(default_factory=list)
    python_params: list[str] = Field(default_factory=list)
    python_named_params: dict[str, str] = Field(default_factory=dict)
    spark_submit_params: list[str] = Field(default_factory=list)
    sql_params: dict[str, str] = Field(default_factory=dict)
    dbt_commands: list[str] = Field(default_factory=list)
    pipeline_params: Object = Field(default_factory=dict)

    @property
    def parameters(self) -> Parameters:
        """The parameters that were given.

        Raises:
            ApiError: They cannot go together, or are too long.
        """
        slots = self.model_dump(
            include=set(_TaskParameters.model_fields) - {"job_parameters"}, exclude_defaults=True
        )
        for name in slots:
            if len(self.model_dump_json(include={name}).encode()) > _MAX_SLOT_BYTES:
                raise invalid(f"The JSON of {name} cannot exceed {_MAX_SLOT_BYTES} bytes.")
        if self.job_parameters and slots.keys() - {"sql_params", "pipeline_params"}:
            raise invalid(
                f"job_parameters cannot be combined with {', '.join(sorted(slots))}; use one kind."
            )
        if self.notebook_params and self.jar_params:
            raise invalid("notebook_params cannot be combined with jar_params.")
        return Parameters(self.job_parameters, slots)


def _short(token: str) -> str:
    if len(token) > _MAX_TOKEN_LENGTH:
        raise ValueError(f"idempotency_token can have {_MAX_TOKEN_LENGTH} characters at most")
    return token


Token = Annotated[str, AfterValidator(_short)]


class RunNow(_TaskParameters):
    """``jobs/run-now``."""

    job_id: Id
    only: list[str] = Field(default_factory=list)
    queue: Queue | None = None
    idempotency_token: Token | None = None


class Submit(Anything):
    """``jobs/runs/submit``: the settings are in ``model_extra``."""

    run_name: str = "Untitled"
    idempotency_token: Token | None = None


class Repair(_TaskParameters):
    """``jobs/runs/repair``."""

    run_id: Id
    rerun_tasks: list[str] = Field(default_factory=list)
    rerun_all_failed_tasks: bool = False
    rerun_dependent_tasks: bool = False
    latest_repair_id: Id | None = None

    @property
    def choice(self) -> RepairChoice:
        """What the request selects."""
        return RepairChoice(
            tuple(self.rerun_tasks),
            self.rerun_all_failed_tasks,
            self.rerun_dependent_tasks,
            self.latest_repair_id,
        )


class RunId(Settings):
    """``jobs/runs/cancel``, ``delete`` and ``get-output``."""

    run_id: Id


class RunGet(Settings):
    """``jobs/runs/get``."""

    run_id: Id
    include_history: bool = False
    include_resolved_values: bool = False
    page_token: str = ""


class RunExport(Settings):
    """``jobs/runs/export``."""

    run_id: Id
    views_to_export: Literal["CODE", "DASHBOARDS", "ALL"] = "CODE"


class CancelAll(Settings):
    """``jobs/runs/cancel-all``."""

    job_id: Id | None = None
    all_queued_runs: bool = False


class RunList(Settings):
    """``jobs/runs/list``."""

    job_id: Id | None = None
    active_only: bool = False
    completed_only: bool = False
    run_type: Literal["JOB_RUN", "WORKFLOW_RUN", "SUBMIT_RUN"] | None = None
    start_time_from: Moment | None = None
    start_time_to: Moment | None = None
    expand_tasks: bool = False
    limit: Annotated[int, Field(ge=0)] = 20
    offset: Annotated[int, Field(ge=0, lt=2**62)] = 0
    page_token: str = ""
