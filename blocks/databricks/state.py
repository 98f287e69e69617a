"""A Databricks job run as plain values, parsed from ``runs/get``.

Everything here is pure. The API adds enum values without notice, leaves fields out when they hold
their default, and shows one entry of ``tasks[]`` per *attempt*; this module turns all of that into
exactly one :class:`Outcome` per attempt and never raises because of a value it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any


class Outcome(StrEnum):
    """Where a run or an attempt stands. Every combination of states maps to exactly one."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_FAILURES = "succeeded with failures"
    EXCLUDED = "excluded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELED = "canceled"
    UPSTREAM_FAILED = "upstream failed"
    UPSTREAM_CANCELED = "upstream canceled"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """True when nothing more happens without a repair."""
        return self not in (Outcome.PENDING, Outcome.RUNNING)

    @property
    def ok(self) -> bool:
        """True when the work is done, or was not meant to be done. ``SKIPPED`` is not."""
        return self in (Outcome.SUCCEEDED, Outcome.SUCCEEDED_WITH_FAILURES, Outcome.EXCLUDED)

    @property
    def victim(self) -> bool:
        """True when the task never ran because another one failed or was cancelled."""
        return self in (Outcome.UPSTREAM_FAILED, Outcome.UPSTREAM_CANCELED)


# result_state says more than life_cycle_state (a failed multi-task run reads INTERNAL_ERROR), so it
# is looked at first. EVICTED values come from internal protocols that the SDK names.
_RESULTS: Mapping[str, Outcome] = {
    "SUCCESS": Outcome.SUCCEEDED,
    "SUCCESS_WITH_FAILURES": Outcome.SUCCEEDED_WITH_FAILURES,
    "FAILED": Outcome.FAILED,
    "EVICTED": Outcome.FAILED,
    "TIMEDOUT": Outcome.TIMED_OUT,
    "CANCELED": Outcome.CANCELED,
    "EXCLUDED": Outcome.EXCLUDED,
    "DISABLED": Outcome.EXCLUDED,
    "UPSTREAM_FAILED": Outcome.UPSTREAM_FAILED,
    "UPSTREAM_EVICTED": Outcome.UPSTREAM_FAILED,
    "UPSTREAM_CANCELED": Outcome.UPSTREAM_CANCELED,
    "MAXIMUM_CONCURRENT_RUNS_REACHED": Outcome.SKIPPED,
}
# Where there is no result_state, the termination code says it.
_CODES: Mapping[str, Outcome] = {
    "SUCCESS": Outcome.SUCCEEDED,
    "SUCCESS_WITH_FAILURES": Outcome.SUCCEEDED_WITH_FAILURES,
    "USER_CANCELED": Outcome.CANCELED,
    "CANCELED": Outcome.CANCELED,
    "DISABLED": Outcome.EXCLUDED,
    "MAX_CONCURRENT_RUNS_EXCEEDED": Outcome.SKIPPED,
    "MAX_JOB_QUEUE_SIZE_EXCEEDED": Outcome.SKIPPED,
}
# A result that is shown in one of these is of the attempt before, or of the run before its repair.
_ALIVE: Mapping[str, Outcome] = {
    "QUEUED": Outcome.PENDING,
    "PENDING": Outcome.PENDING,
    "BLOCKED": Outcome.PENDING,
    # The attempt itself is over, but the task is not: its next attempt is a new entry.
    "WAITING_FOR_RETRY": Outcome.PENDING,
    "WAITING": Outcome.PENDING,
    "RUNNING": Outcome.RUNNING,
    "TERMINATING": Outcome.RUNNING,
}
_ENDED_LIFE_CYCLES = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})


@dataclass(frozen=True)
class Status:
    """The states of a run or an attempt, as the API gave them, and what they mean.

    Attributes:
        outcome: The one meaning of all the fields below.
        life_cycle_state: ``state.life_cycle_state``, or ``status.state`` where only that is given.
        result_state: ``state.result_state``, empty until the end.
        termination_code: ``status.termination_details.code``, empty until the end.
        termination_type: ``status.termination_details.type``, empty until the end.
        message: The more telling one of the two messages.
        stopped: True from the moment in which somebody cancelled it or its time was over, also
            while it is still on its way down.
    """

    outcome: Outcome
    life_cycle_state: str = ""
    result_state: str = ""
    termination_code: str = ""
    termination_type: str = ""
    message: str = ""
    stopped: bool = False

    @property
    def ending(self) -> bool:
        """True when it is alive, but all that is left is to end."""
        on_its_way_down = self.stopped or self.life_cycle_state == "TERMINATING"
        return on_its_way_down and not self.outcome.ended


@dataclass(frozen=True)
class TaskAttempt:
    """One Databricks task run: one attempt at one task.

    Attributes:
        task_key: The task's key in the job.
        run_id: The attempt's own run id, which ``runs/get-output`` takes.
        attempt_number: 0 for the first; retries and repairs count on.
        status: Where it stands.
        depends_on: Keys of the tasks that this one waits for.
        start_time: Epoch milliseconds, 0 when it never started.
        end_time: Epoch milliseconds, 0 while it is alive.
        setup_ms: Time spent on getting the cluster.
        execution_ms: Time spent in the notebook.
        cleanup_ms: Time spent on ending it.
        run_page_url: The attempt's page.
    """

    task_key: str
    run_id: int
    attempt_number: int
    status: Status
    depends_on: tuple[str, ...] = ()
    start_time: int = 0
    end_time: int = 0
    setup_ms: int = 0
    execution_ms: int = 0
    cleanup_ms: int = 0
    run_page_url: str = ""

    @property
    def outcome(self) -> Outcome:
        """Shorthand for ``status.outcome``."""
        return self.status.outcome

    @property
    def seconds(self) -> float:
        """Set-up, execution and clean-up together, in seconds."""
        return (self.setup_ms + self.execution_ms + self.cleanup_ms) / 1000


@dataclass(frozen=True)
class HistoryItem:
    """One entry of ``repair_history``.

    Attributes:
        repair_id: None for the original run.
        task_run_ids: Run ids of the attempts that belong to it.
        start_time: Epoch milliseconds.
    """

    repair_id: int | None
    task_run_ids: frozenset[int]
    start_time: int = 0


@dataclass(frozen=True)
class RunState:
    """A job run at one moment.

    Attributes:
        run_id: The run's id, which repairs keep.
        job_id: The saved job's id.
        status: Where the run as a whole stands.
        attempts: Every attempt of every task, in no particular order.
        history: The original run, then each repair, oldest first; empty unless it was asked for.
        job_parameters: Job parameters as the run sees them.
        overriding_parameters: What it was started with for its tasks, in the slots that job
            parameters replace, such as ``notebook_params``; only those that hold something.
        run_page_url: The run's page.
        start_time: Epoch milliseconds.
        end_time: Epoch milliseconds, 0 while it is alive.
        job_name: The saved job's name when the run was started.
    """

    run_id: int
    job_id: int
    status: Status
    attempts: tuple[TaskAttempt, ...] = ()
    history: tuple[HistoryItem, ...] = ()
    job_parameters: Mapping[str, str] = field(default_factory=dict)
    overriding_parameters: Mapping[str, Any] = field(default_factory=dict)
    run_page_url: str = ""
    start_time: int = 0
    end_time: int = 0
    job_name: str = ""

    @property
    def outcome(self) -> Outcome:
        """Shorthand for ``status.outcome``."""
        return self.status.outcome

    @property
    def current(self) -> dict[str, TaskAttempt]:
        """The latest attempt of each task: highest attempt number, then latest start."""
        latest: dict[str, TaskAttempt] = {}
        for attempt in self.attempts:
            known = latest.get(attempt.task_key)
            if known is None or _rank(attempt) > _rank(known):
                latest[attempt.task_key] = attempt
        return latest

    @property
    def unsuccessful(self) -> tuple[str, ...]:
        """Keys of the tasks whose latest attempt ended without success, sorted."""
        return tuple(
            sorted(
                key
                for key, attempt in self.current.items()
                if attempt.outcome.ended and not attempt.outcome.ok
            )
        )

    @property
    def causes(self) -> tuple[TaskAttempt, ...]:
        """Latest attempts that failed by themselves, not because of another task."""
        current = self.current
        return tuple(current[key] for key in self.unsuccessful if not current[key].outcome.victim)

    @property
    def latest_repair_id(self) -> int | None:
        """Id of the newest repair, which the next one must quote; None before the first."""
        return self.history[-1].repair_id if self.history else None

    @property
    def repairs(self) -> int:
        """How many repairs the run has had (needs the history)."""
        return sum(1 for item in self.history if item.repair_id is not None)


def _rank(attempt: TaskAttempt) -> tuple[int, int]:
    return attempt.attempt_number, attempt.start_time


def parse_status(payload: Mapping[str, Any]) -> Status:
    """Read ``state`` and ``status`` of a run or of an entry of ``tasks[]``."""
    state = _mapping(payload.get("state"))
    status = _mapping(payload.get("status"))
    details = _mapping(status.get("termination_details"))
    life_cycle = _text(state.get("life_cycle_state")) or _text(status.get("state"))
    result = _text(state.get("result_state"))
    code = _text(details.get("code"))
    kind = _text(details.get("type"))
    return Status(
        outcome=_outcome(life_cycle, result, code, kind),
        life_cycle_state=life_cycle,
        result_state=result,
        termination_code=code,
        termination_type=kind,
        message=_text(state.get("state_message")) or _text(details.get("message")),
        stopped=state.get("user_cancelled_or_timedout") is True,
    )


def _outcome(life_cycle: str, result: str, code: str, kind: str) -> Outcome:
    if life_cycle in _ALIVE:
        return _ALIVE[life_cycle]
    if result:
        return _RESULTS.get(result, Outcome.FAILED)
    if code in _CODES:
        return _CODES[code]
    if life_cycle not in _ENDED_LIFE_CYCLES and not code:
        return Outcome.PENDING
    if "SKIPPED" in (life_cycle, code):
        # A task skipped because of another one carries no result in the API's own example.
        return Outcome.EXCLUDED if kind == "SUCCESS" else Outcome.UPSTREAM_FAILED
    return Outcome.SUCCEEDED if kind == "SUCCESS" else Outcome.FAILED


def changes(before: RunState | None, after: RunState) -> tuple[TaskAttempt, ...]:
    """Return the attempts of ``after`` whose outcome is new, in the order in which it happened.

    What ended comes before what started, and a task that was skipped comes after the one that
    caused it, so that whoever draws the attempts always knows a task's upstream already.
    """
    known = {a.run_id: a.outcome for a in before.attempts} if before else {}
    new = [a for a in after.attempts if known.get(a.run_id) != a.outcome]
    return tuple(sorted(new, key=_when))


def _when(attempt: TaskAttempt) -> tuple[float, bool, float]:
    never = float("inf")
    ended = attempt.end_time if attempt.outcome.ended else never
    return ended, attempt.outcome.victim, attempt.start_time or never


def parse_attempt(payload: Mapping[str, Any]) -> TaskAttempt:
    """Read one entry of ``tasks[]``."""
    return TaskAttempt(
        task_key=_text(payload.get("task_key")),
        run_id=_number(payload.get("run_id")),
        attempt_number=_number(payload.get("attempt_number")),
        status=parse_status(payload),
        depends_on=tuple(
            _text(item.get("task_key")) for item in _mappings(payload.get("depends_on"))
        ),
        start_time=_number(payload.get("start_time")),
        end_time=_number(payload.get("end_time")),
        setup_ms=_number(payload.get("setup_duration")),
        execution_ms=_number(payload.get("execution_duration")),
        cleanup_ms=_number(payload.get("cleanup_duration")),
        run_page_url=_text(payload.get("run_page_url")),
    )


def parse_run(payload: Mapping[str, Any]) -> RunState:
    """Read a whole ``runs/get`` answer, its pages already joined."""
    return RunState(
        run_id=_number(payload.get("run_id")),
        job_id=_number(payload.get("job_id")),
        status=parse_status(payload),
        attempts=tuple(map(parse_attempt, _mappings(payload.get("tasks")))),
        history=tuple(map(_history_item, _mappings(payload.get("repair_history")))),
        job_parameters={
            _text(item.get("name")): _text(item.get("default") if value is None else value)
            for item in _mappings(payload.get("job_parameters"))
            for value in [item.get("value")]
        },
        overriding_parameters={
            slot: values
            for slot, values in _mapping(payload.get("overriding_parameters")).items()
            if values
        },
        run_page_url=_text(payload.get("run_page_url")),
        start_time=_number(payload.get("start_time")),
        end_time=_number(payload.get("end_time")),
        job_name=_text(payload.get("run_name")),
    )


def _history_item(payload: Mapping[str, Any]) -> HistoryItem:
    repair_id = payload.get("id")
    return HistoryItem(
        repair_id=None if repair_id is None else _number(repair_id),
        task_run_ids=frozenset(map(_number, _items(payload.get("task_run_ids")))),
        start_time=_number(payload.get("start_time")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in _items(value) if isinstance(item, Mapping))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> int:
    if isinstance(value, float) and isfinite(value):
        return int(value)
    try:
        return int(str(value))
    except ValueError:
        return 0
