"""Runs, their rounds and their attempts, as frozen values.

A *round* is one item of a run's repair history: the original run or a repair. An *attempt* is one
task run: one execution of one task, be it the first, a retry or one of a repair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from blocks.local.workspace.specs import TaskSpec
from blocks.local.workspace.states import LifeCycle, State


class Stop(StrEnum):
    """Why a run or a task run is ended before its time."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


class RunType(StrEnum):
    """``run_type``: of a saved job, submitted once, or of ``dbutils.notebook.run``.

    ``FOR_EACH`` is no type of the API: such a run holds the iterations of a for-each task, each
    as a task of its own, and shows as a part of the run that it belongs to.
    """

    JOB_RUN = "JOB_RUN"
    SUBMIT_RUN = "SUBMIT_RUN"
    WORKFLOW_RUN = "WORKFLOW_RUN"
    FOR_EACH = "FOR_EACH"


@dataclass(frozen=True)
class Attempt:
    """One task run. Times are epoch milliseconds, 0 for what has not happened.

    Attributes:
        run_id: Its own id.
        task: The task, with the settings that this attempt uses.
        number: ``attempt_number``, counted over retries and repairs.
        round: The round it belongs to.
        state: Where it stands.
        started: When it became ``PENDING``.
        executing: When its notebook started.
        ended: When it ended.
        stop: Why it is being stopped, if it is.
        ending: While it waits for a retry: the state that it will end with.
        cluster_id: Where it runs or ran.
        resolved: Its parameters without references, as ``resolved_values`` shows them; None until
            it is executed.
        outcome: ``true`` or ``false`` of a condition task that has been decided.
    """

    run_id: int
    task: TaskSpec
    number: int
    round: int
    state: State
    started: int = 0
    executing: int = 0
    ended: int = 0
    stop: Stop | None = None
    ending: State | None = None
    cluster_id: str | None = None
    resolved: Mapping[str, Any] | None = None
    outcome: str | None = None


@dataclass(frozen=True)
class Parameters:
    """The parameters of a ``run-now`` or ``repair`` request.

    Attributes:
        job: ``job_parameters``.
        overriding: The legacy slots that were given (``notebook_params`` …), as they came.
    """

    job: Mapping[str, str] = field(default_factory=dict)
    overriding: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One item of a repair history. Times are epoch milliseconds, 0 for what has not happened.

    Attributes:
        position: 0 for the original run.
        repair_id: None for the original run.
        state: Where it stands.
        settings: Settings of the job that its tasks use.
        parameters: What the request gave.
        requested: When it was asked for.
        started: When it left the queue; the same as ``requested`` if it never queued.
        ended: When it ended.
    """

    position: int
    repair_id: int | None
    state: State
    settings: Mapping[str, Any]
    parameters: Parameters
    requested: int
    started: int
    ended: int = 0

    @property
    def timeout(self) -> int:
        """Seconds that the round may take; 0 for no limit."""
        return int(self.settings.get("timeout_seconds", 0))


@dataclass(frozen=True)
class Run:
    """A job run or a one-time run. Times are epoch milliseconds, 0 for what has not happened.

    Attributes:
        run_id: Its id.
        job_id: The job; a one-time run has an id of its own here, which is no job.
        run_type: Saved job or one-time.
        name: ``run_name``.
        state: Where it stands.
        started: When it was asked for.
        ended: When it ended; 0 again while it is being repaired.
        rounds: The original run and its repairs, oldest first.
        attempts: Every attempt of every task, by id.
        stop: Why it is being stopped, if it is.
        parent: The task run that started it, if one did.
    """

    run_id: int
    job_id: int
    run_type: RunType
    name: str
    state: State
    started: int
    ended: int
    rounds: tuple[Round, ...]
    attempts: tuple[Attempt, ...]
    stop: Stop | None = None
    parent: int | None = None

    @property
    def round(self) -> Round:
        """The latest round."""
        return self.rounds[-1]

    @property
    def queued(self) -> bool:
        """Whether the run waits for others of its job to end."""
        return self.state.life_cycle is LifeCycle.QUEUED

    @property
    def latest(self) -> dict[str, Attempt]:
        """The current attempt of each task, by key: the one with the highest number."""
        return latest(self.attempts)

    def duration(self, now: int) -> int:
        """Return the milliseconds that its rounds took so far, without the time between them."""
        return sum((item.ended or now) - item.started for item in self.rounds)

    def attempt(self, task_run_id: int) -> Attempt:
        """Return an attempt by its id.

        Raises:
            KeyError: The run has no such attempt.
        """
        for attempt in self.attempts:
            if attempt.run_id == task_run_id:
                return attempt
        raise KeyError(task_run_id)


def latest(attempts: Iterable[Attempt]) -> dict[str, Attempt]:
    """Return the attempt with the highest number of each task, by key."""
    current: dict[str, Attempt] = {}
    for attempt in attempts:
        known = current.get(attempt.task.key)
        if known is None or attempt.number > known.number:
            current[attempt.task.key] = attempt
    return current
