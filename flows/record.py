"""What a flow run notes about its Databricks run, for the process that goes on after it.

The notes are labels of the flow run, which every process can read: one that was started after a
crash, a hook in the worker, the sweep. A job run is noted before it is started, so that whoever
goes on can start just that one again, and has it. Who reads the notes takes up the same job run
with the same budget, so a restart grants nothing; what a person asks for does (:func:`granted`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging import get_run_logger

from blocks.databricks import DatabricksRun, Launch, Patience, RepairPolicy
from flows.prefect_api import patiently, unless_away

_RUN_LABEL = "databricks.run_id"
_JOB_LABEL = "databricks.job_block"
_LAUNCH_LABEL = "databricks.launch"
_BUDGET_LABEL = "databricks.budget"
_PARAMETERS_LABEL = "databricks.changed_parameters"
_ASKED_LABEL = "databricks.asked"
_UNANSWERED_LABEL = "databricks.unanswered_since"
# Labels cannot be taken away.
_NONE = ""
NOTHING_STARTED = 0


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
    """The notes of a flow run about its job run.

    Attributes:
        job_block: Name of the Databricks Job block that speaks to the run's workspace.
        launch: What starts the job run; the token is empty for one that others have started.
        run_id: The job run; None while Databricks has not said which one that is, and
            ``NOTHING_STARTED`` when it has refused the launch.
        budget: What it may still spend.
        parameters: Job parameters that a person changed since.
        asked: When each question to a person was asked first, in epoch seconds.
    """

    job_block: str
    launch: Launch
    run_id: int | None
    budget: Budget
    parameters: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Notes:
    """All that is known of a flow run when a process of it starts.

    Attributes:
        flow_run_id: The flow run.
        failures: How often it has failed so far.
        record: Its notes about its job run; None before it has one.
        unanswered_since: From when on Databricks has not answered, in epoch seconds; None if it
            has.
    """

    flow_run_id: UUID
    failures: int = 0
    record: Record | None = None
    unanswered_since: float | None = None

    def patience(self) -> Patience:
        """Return the patience with Databricks that is left, which is noted from now on."""
        return Patience(since=self.unanswered_since, tell=self._note_silence)

    def _note_silence(self, patience: Patience) -> None:
        since = patience.since
        with unless_away("that Databricks does not answer"):
            _put(self.flow_run_id, {_UNANSWERED_LABEL: since or _NONE})
        if since is not None:
            until = datetime.fromtimestamp(since + patience.seconds).astimezone()
            get_run_logger().warning(
                "Databricks gives no answer that helps; trying until %s. %s",
                until.strftime("%X %Z"),
                patience.reason,
            )


def granted(noted: Budget, failures: int, repairs: int, now: float) -> Budget:
    """Decide which budget counts when a flow run starts again.

    A flow run that failed starts again only because a person (or an automation of theirs) wants it
    to, and so has a new one. One that crashed, was suspended or lost its machine did not fail: it
    goes on with what it had.

    Args:
        noted: The budget that was noted for its job run.
        failures: How often the flow run has failed so far.
        repairs: How many repairs the job run has had.
        now: The current time, in epoch seconds.
    """
    return Budget(failures, repairs, now) if failures > noted.failures else noted


def count_failures(states: Iterable[State[Any]]) -> int:
    """Count how often a flow run failed; a retry that Prefect does by itself is none."""
    return sum(state.is_failed() for state in states)


def record_of(flow_run: FlowRun) -> Record | None:
    """Read what a flow run has noted about its job run; None when it has none."""
    labels = {name: str(value) for name, value in flow_run.labels.items()}
    if not labels.get(_LAUNCH_LABEL):
        return None
    run_id = labels[_RUN_LABEL]
    return Record(
        job_block=labels[_JOB_LABEL],
        launch=Launch(**json.loads(labels[_LAUNCH_LABEL])),
        run_id=int(run_id) if run_id else None,
        budget=Budget(**json.loads(labels[_BUDGET_LABEL])),
        parameters=json.loads(labels[_PARAMETERS_LABEL]),
        asked=json.loads(labels[_ASKED_LABEL]),
    )


@patiently
def read_notes(flow_run_id: UUID) -> Notes:
    """Read the notes of a flow run from the Prefect API."""
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
        failures = count_failures(client.read_flow_run_states(flow_run_id))
    silence = str(flow_run.labels.get(_UNANSWERED_LABEL, _NONE))
    return Notes(flow_run_id, failures, record_of(flow_run), float(silence) if silence else None)


def note_launch(notes: Notes, launch: Launch, job_block: str) -> Notes:
    """Note a job run that is about to be started, in the place of one that was before it.

    Args:
        notes: The notes so far.
        launch: What starts it.
        job_block: Name of the Databricks Job block that speaks to its workspace.
    """
    record = Record(job_block, launch, None, Budget(notes.failures, 0, time.time()))
    return _noted(notes, record)


def note_nothing_started(notes: Notes) -> None:
    """Note that Databricks has refused the launch."""
    if notes.record is not None:
        _noted(notes, replace(notes.record, run_id=NOTHING_STARTED))


def take_up(notes: Notes, run: DatabricksRun, job_block: str) -> Record:
    """Note which job run a flow run has, and return the notes that count from now on.

    Args:
        notes: The notes so far; without a record for a job run that others have started.
        run: The job run.
        job_block: Name of the Databricks Job block that speaks to the run's workspace.
    """
    state = run.state
    before = notes.record
    if before is None:
        launch = Launch(state.job_id, run.job_settings(), dict(state.job_parameters), token="")
        budget = Budget(notes.failures, state.repairs, state.start_time / 1000)
        record = Record(job_block, launch, run.run_id, budget)
    else:
        budget = granted(before.budget, notes.failures, state.repairs, time.time())
        record = replace(before, run_id=run.run_id, budget=budget)
    if record != before:
        _noted(notes, record)
    return record


def note_question(flow_run_id: UUID, record: Record, question: str) -> Record:
    """Note when a question is asked, unless it was asked before."""
    if question in record.asked:
        return record
    noted = replace(record, asked={**record.asked, question: time.time()})
    _write(flow_run_id, noted)
    return noted


def note_answer(flow_run_id: UUID, record: Record, parameters: Mapping[str, str]) -> Record:
    """Note what a person changed; the job run has its whole time again from now on."""
    noted = replace(
        record,
        budget=replace(record.budget, since=time.time()),
        parameters={**record.parameters, **parameters},
    )
    _write(flow_run_id, noted)
    return noted


def _noted(notes: Notes, record: Record) -> Notes:
    _write(notes.flow_run_id, record)
    return replace(notes, record=record)


@patiently
def _write(flow_run_id: UUID, record: Record) -> None:
    labels: dict[str, Any] = {
        _JOB_LABEL: record.job_block,
        _LAUNCH_LABEL: json.dumps(asdict(record.launch)),
        _RUN_LABEL: _NONE if record.run_id is None else record.run_id,
        _BUDGET_LABEL: json.dumps(asdict(record.budget)),
        _PARAMETERS_LABEL: json.dumps(dict(record.parameters)),
        _ASKED_LABEL: json.dumps(dict(record.asked)),
    }
    _put(flow_run_id, labels)


def _put(flow_run_id: UUID, labels: dict[str, Any]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run_id, labels)
