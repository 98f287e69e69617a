"""What a flow run notes about its Databricks run, for the process that goes on after it.

The notes are labels of the flow run, which every process can read: one that was started after a
crash, a hook in the worker, the sweep. Who reads them takes up the same job run with the same
budget, so a restart grants nothing; what a person asks for does (see :func:`granted`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

from blocks.databricks import DatabricksRun, RepairPolicy, RunState
from flows.prefect_api import patiently

_RUN_LABEL = "databricks.run_id"
_JOB_LABEL = "databricks.job_block"
_SETTINGS_LABEL = "databricks.job_settings"
_BUDGET_LABEL = "databricks.budget"
_PARAMETERS_LABEL = "databricks.changed_parameters"


@dataclass(frozen=True)
class Budget:
    """From when on repairs and time are counted.

    Attributes:
        failures: How often the flow run had failed by then.
        repairs: How many repairs the job run had had by then.
        since: When that was, in epoch seconds.
    """

    failures: int
    repairs: int
    since: float

    def deadline(self, policy: RepairPolicy) -> float:
        """Return until when the job run may take, in epoch seconds; infinity without a limit."""
        minutes = policy.deadline_minutes
        return self.since + minutes * 60 if minutes else math.inf


@dataclass(frozen=True)
class Record:
    """The notes of a flow run.

    Attributes:
        run_id: Its job run.
        job_block: Name of the Databricks Job block that speaks to the run's workspace.
        settings: The job's settings when the run was started.
        budget: What it may still spend.
        parameters: Job parameters that a person changed since.
    """

    run_id: int
    job_block: str
    settings: Mapping[str, Any]
    budget: Budget
    parameters: Mapping[str, str] = field(default_factory=dict)


def granted(noted: Budget | None, failures: int, state: RunState, now: float) -> Budget:
    """Decide which budget counts when a flow run starts, or starts again.

    A new job run has one from its own start. A flow run that failed starts again only because a
    person (or an automation of theirs) wants it to, and so has a new one. One that crashed, was
    suspended or lost its machine did not fail: it goes on with what it had.

    Args:
        noted: The budget that was noted for this job run; None without one.
        failures: How often the flow run has failed so far.
        state: The job run.
        now: The current time, in epoch seconds.
    """
    if noted is None:
        return Budget(failures, state.repairs, state.start_time / 1000)
    if failures > noted.failures:
        return Budget(failures, state.repairs, now)
    return noted


def count_failures(states: Iterable[State[Any]]) -> int:
    """Count how often a flow run failed; a retry that Prefect does by itself is none."""
    return sum(state.is_failed() for state in states)


def record_of(flow_run: FlowRun) -> Record | None:
    """Read the notes of a flow run; None when it has started no job run."""
    labels = flow_run.labels
    if _RUN_LABEL not in labels:
        return None
    return Record(
        run_id=int(labels[_RUN_LABEL]),
        job_block=str(labels[_JOB_LABEL]),
        settings=json.loads(str(labels[_SETTINGS_LABEL])),
        budget=Budget(**json.loads(str(labels[_BUDGET_LABEL]))),
        parameters=json.loads(str(labels[_PARAMETERS_LABEL])),
    )


@patiently
def read_record(flow_run_id: UUID) -> Record | None:
    """Read the notes of a flow run from the Prefect API."""
    with get_client(sync_client=True) as client:
        return record_of(client.read_flow_run(flow_run_id))


def take_up(flow_run_id: UUID, run: DatabricksRun, job_block: str, noted: Record | None) -> Record:
    """Note which job run a flow run has, and return the notes that count from now on.

    Args:
        flow_run_id: The flow run.
        run: Its job run.
        job_block: Name of the Databricks Job block that speaks to the run's workspace.
        noted: The notes so far, perhaps about another job run; None without any.
    """
    if noted is not None and noted.run_id != run.run_id:
        noted = None
    failures = _failures_of(flow_run_id)
    budget = granted(noted.budget if noted else None, failures, run.state, time.time())
    if noted is not None and noted.budget == budget:
        return noted
    record = (
        Record(run.run_id, job_block, run.job_settings(), budget)
        if noted is None
        else replace(noted, budget=budget)
    )
    _write(flow_run_id, record)
    return record


def note_answer(flow_run_id: UUID, record: Record, parameters: Mapping[str, str]) -> Record:
    """Note what a person changed; the job run has its whole time again from now on."""
    noted = replace(
        record,
        budget=replace(record.budget, since=time.time()),
        parameters={**record.parameters, **parameters},
    )
    _write(flow_run_id, noted)
    return noted


@patiently
def _failures_of(flow_run_id: UUID) -> int:
    with get_client(sync_client=True) as client:
        return count_failures(client.read_flow_run_states(flow_run_id))


@patiently
def _write(flow_run_id: UUID, record: Record) -> None:
    labels: dict[str, Any] = {
        _RUN_LABEL: record.run_id,
        _JOB_LABEL: record.job_block,
        _SETTINGS_LABEL: json.dumps(record.settings),
        _BUDGET_LABEL: json.dumps(asdict(record.budget)),
        _PARAMETERS_LABEL: json.dumps(dict(record.parameters)),
    }
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run_id, labels)
