"""What a user allows a repair to do: the parameter ``repair`` of the flows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from blocks.databricks.failures import FAILURES, FAILURES_IN_WORDS, FailureClass

_MOST = 20
# No two of Databricks' own names are as alike, and any of them with a slip of the pen is.
_ALIKE = 0.85


class WhenExhausted(StrEnum):
    """What happens when tasks still fail and no repair is left."""

    FAIL = "fail"
    ASK = "ask"


def _place(position: int) -> dict[str, Any]:
    """Place a field in the form of the Prefect UI, which sorts by name otherwise."""
    return {"position": position}


class RepairPolicy(BaseModel):
    """How a failed Databricks run is repaired: only the failed tasks run again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_repairs: int = Field(
        default=4,
        ge=0,
        le=_MOST,
        description=(
            "Repairs of a job run in all; 0 switches them off. Given alone, it also is the value "
            "of the three budgets that follow."
        ),
        json_schema_extra=_place(0),
    )
    task_repairs: int = Field(
        default=3,
        ge=0,
        le=_MOST,
        description="Repairs after failures of one and the same task.",
        json_schema_extra=_place(1),
    )
    user_code_repairs: int = Field(
        default=1,
        ge=0,
        le=_MOST,
        description="Repairs after a notebook failed by itself, or for an unknown reason.",
        json_schema_extra=_place(2),
    )
    infrastructure_repairs: int = Field(
        default=3,
        ge=0,
        le=_MOST,
        description="Repairs after the cloud, the cluster, the driver or the storage failed.",
        json_schema_extra=_place(3),
    )
    user_code_delay_seconds: float = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Wait before the first repair after a failure of a notebook.",
        json_schema_extra=_place(4),
    )
    infrastructure_delay_seconds: float = Field(
        default=30,
        ge=0,
        le=86_400,
        description="Wait before the first repair after a failure of the infrastructure.",
        json_schema_extra=_place(5),
    )
    delay_growth: float = Field(
        default=2,
        ge=1,
        le=10,
        description="By how much the wait grows from one repair to the next.",
        json_schema_extra=_place(6),
    )
    max_delay_seconds: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="The longest wait before a repair.",
        json_schema_extra=_place(7),
    )
    delay_jitter: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description=(
            "Part of the wait that chance may take off, so that runs that failed together do not "
            "come back together."
        ),
        json_schema_extra=_place(8),
    )
    when_exhausted: WhenExhausted = Field(
        default=WhenExhausted.FAIL,
        title="When Exhausted",
        description="When a budget is spent and tasks still fail: fail, or ask a person.",
        json_schema_extra=_place(9),
    )
    answer_within_minutes: float = Field(
        default=1440,
        gt=0,
        le=10_080,
        description="How long to wait for the person's answer before the flow run fails.",
        json_schema_extra=_place(10),
    )
    deadline_minutes: float = Field(
        default=0,
        ge=0,
        le=43_200,
        description=(
            "A job run that takes longer is cancelled, and the flow run fails; 0: no limit. "
            "Repairs and the waits before them count, restarts change nothing. A person who "
            "retries the flow run, or answers, gives it the whole time again."
        ),
        json_schema_extra=_place(11),
    )
    out_of_memory_node_type_id: str = Field(
        default="",
        description="Node type for repairs after a task ran out of memory; empty: the same.",
        json_schema_extra=_place(12),
    )
    on_demand_after_spot_loss: bool = Field(
        default=False,
        description="Repair on on-demand instances after a spot instance was lost.",
        json_schema_extra=_place(13),
    )
    failure_classes: dict[str, FailureClass] = Field(
        default={},
        description=(
            "Failures that you know better, by termination code or result state, for example "
            '{"LIBRARY_INSTALLATION_ERROR": "infrastructure"}. Otherwise: '
            f"{FAILURES_IN_WORDS}; unknown: all else, which is treated as user code."
        ),
        json_schema_extra=_place(14),
    )
    use_changed_settings: bool = Field(
        default=False,
        description=(
            "Repair even if the job was edited since its run started; Databricks then runs the "
            "repaired tasks with the job's new settings."
        ),
        json_schema_extra=_place(15),
    )
    price_per_hour: float = Field(
        default=0,
        ge=0,
        description="What an hour of the job cluster costs, to tell what a repair saved.",
        json_schema_extra=_place(16),
    )

    @model_validator(mode="before")
    @classmethod
    def _max_repairs_alone(cls, given: Any) -> Any:  # noqa: ANN401  # whatever a user passes
        """Let ``{"max_repairs": 3}`` mean three repairs, whatever the reason."""
        if not isinstance(given, dict) or "max_repairs" not in given:
            return given
        budgets = ("task_repairs", "user_code_repairs", "infrastructure_repairs")
        if any(name in given for name in budgets):
            return given
        return {**dict.fromkeys(budgets, given["max_repairs"]), **given}

    @field_validator("failure_classes")
    @classmethod
    def _codes_without_slips(cls, given: Mapping[str, FailureClass]) -> Mapping[str, FailureClass]:
        """Refuse what is no name of a failure; Databricks adds names without notice."""
        for name in given.keys() - FAILURES.keys():
            meant = get_close_matches(name.upper(), FAILURES, n=1, cutoff=_ALIKE)
            if meant or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                hint = f"; did you mean {meant[0]}?" if meant else ""
                raise ValueError(f"{name!r} is no termination code and no result state{hint}")
        return given

    @property
    def asks(self) -> bool:
        """True when a person is asked once a budget is spent."""
        return self.when_exhausted is WhenExhausted.ASK

    @property
    def answer_seconds(self) -> float:
        """How long a person has for the answer."""
        return self.answer_within_minutes * 60
