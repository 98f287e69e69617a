"""The states of runs and task runs, and the texts that go with them.

``state`` (life cycle and result) and ``status`` (state and termination details) say the same thing
in an old and a new vocabulary; every answer carries both. Rules and texts: Jobs API reference,
"View job run status", and recorded payloads of the cloud.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class LifeCycle(StrEnum):
    """``life_cycle_state``."""

    QUEUED = "QUEUED"
    BLOCKED = "BLOCKED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    TERMINATING = "TERMINATING"
    WAITING_FOR_RETRY = "WAITING_FOR_RETRY"
    TERMINATED = "TERMINATED"
    SKIPPED = "SKIPPED"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    @property
    def terminal(self) -> bool:
        """Whether nothing more happens to the run, unless somebody repairs it."""
        return self in _TERMINAL


_TERMINAL = frozenset({LifeCycle.TERMINATED, LifeCycle.SKIPPED, LifeCycle.INTERNAL_ERROR})


class Result(StrEnum):
    """``result_state``."""

    SUCCESS = "SUCCESS"
    SUCCESS_WITH_FAILURES = "SUCCESS_WITH_FAILURES"
    FAILED = "FAILED"
    TIMEDOUT = "TIMEDOUT"
    CANCELED = "CANCELED"
    EXCLUDED = "EXCLUDED"
    DISABLED = "DISABLED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UPSTREAM_CANCELED = "UPSTREAM_CANCELED"
    MAXIMUM_CONCURRENT_RUNS_REACHED = "MAXIMUM_CONCURRENT_RUNS_REACHED"


_STATUS_OF_LIFE_CYCLE = {
    LifeCycle.WAITING_FOR_RETRY: "WAITING",
    LifeCycle.SKIPPED: "TERMINATED",
    LifeCycle.INTERNAL_ERROR: "TERMINATED",
}


@dataclass(frozen=True)
class State:
    """The state of a run, of a task run or of one item of a repair history.

    Attributes:
        life_cycle: Where it stands.
        result: How it ended; None until then.
        message: ``state_message``.
        code: Termination code; empty until it ended.
        kind: Termination type: ``SUCCESS``, ``CLIENT_ERROR``, ``INTERNAL_ERROR``,
            ``CLOUD_FAILURE``.
        stopped: ``user_cancelled_or_timedout``; true while it is still on its way down, too.
    """

    life_cycle: LifeCycle
    result: Result | None = None
    message: str = ""
    code: str = ""
    kind: str = ""
    stopped: bool = False

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self.life_cycle.terminal

    def to_record(self) -> dict[str, Any]:
        """Return the state as plain values, to be stored."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> State:
        """Return the state that ``to_record`` gave."""
        result = record["result"]
        return cls(
            **{
                **record,
                "life_cycle": LifeCycle(record["life_cycle"]),
                "result": None if result is None else Result(result),
            }
        )


def as_json(state: State) -> dict[str, Any]:
    """Return the two fields ``state`` and ``status`` of an answer."""
    old: dict[str, Any] = {
        "life_cycle_state": state.life_cycle,
        "state_message": state.message,
        "user_cancelled_or_timedout": state.stopped,
    }
    new: dict[str, Any] = {
        "state": _STATUS_OF_LIFE_CYCLE.get(state.life_cycle, str(state.life_cycle))
    }
    if state.result is not None:
        old["result_state"] = state.result
    if state.terminal:
        new["termination_details"] = {
            "code": state.code,
            "type": state.kind,
            "message": state.message,
        }
    if state.life_cycle is LifeCycle.QUEUED:
        old["queue_reason"] = state.message
        new["queue_details"] = {"code": "MAX_CONCURRENT_RUNS_REACHED", "message": state.message}
    return {"state": old, "status": new}


BLOCKED = State(LifeCycle.BLOCKED)
PENDING = State(LifeCycle.PENDING, message="Waiting for cluster")
RUNNING = State(LifeCycle.RUNNING, message="In run")
STOPPING = State(LifeCycle.TERMINATING, message="Terminating the run", stopped=True)

SUCCEEDED = State(LifeCycle.TERMINATED, Result.SUCCESS, "", "SUCCESS", "SUCCESS")
WORKLOAD_FAILED = State(
    LifeCycle.TERMINATED,
    Result.FAILED,
    "Workload failed, see run output for details",
    "RUN_EXECUTION_ERROR",
    "CLIENT_ERROR",
)
DRIVER_LOST = State(
    LifeCycle.INTERNAL_ERROR,
    Result.FAILED,
    "The spark driver has stopped unexpectedly and is restarting."
    " Your notebook will be automatically reattached.",
    "DRIVER_ERROR",
    "INTERNAL_ERROR",
)
# How a task ends, by the status of its notebook's outcome.
OF_OUTCOME = {"succeeded": SUCCEEDED, "failed": WORKLOAD_FAILED, "lost": DRIVER_LOST}
UPSTREAM_FAILED = State(
    LifeCycle.SKIPPED,
    Result.UPSTREAM_FAILED,
    "An upstream task failed.",
    "SKIPPED",
    "CLIENT_ERROR",
)
UPSTREAM_CANCELED = State(
    LifeCycle.SKIPPED,
    Result.UPSTREAM_CANCELED,
    "An upstream task was canceled.",
    "SKIPPED",
    "CLIENT_ERROR",
)
EXCLUDED = State(
    LifeCycle.SKIPPED,
    Result.EXCLUDED,
    "The run condition of the task was not met.",
    "SKIPPED",
    "SUCCESS",
)
# Of tasks that ``only`` does not select, where they are shown at all.
UNSELECTED: dict[str, State] = {
    result: State(
        LifeCycle.SKIPPED, result, "The task was not selected for this run.", code, "SUCCESS"
    )
    for result, code in ((Result.EXCLUDED, "SKIPPED"), (Result.DISABLED, "DISABLED"))
}
DISABLED = State(LifeCycle.SKIPPED, Result.DISABLED, "The task is disabled.", "DISABLED", "SUCCESS")
TASK_CANCELED = State(
    LifeCycle.TERMINATED,
    Result.CANCELED,
    "Run cancelled by user",
    "USER_CANCELED",
    "CLIENT_ERROR",
    stopped=True,
)
RUN_CANCELED = State(
    LifeCycle.TERMINATED,
    Result.CANCELED,
    "Run cancelled.",
    "USER_CANCELED",
    "CLIENT_ERROR",
    stopped=True,
)
# The cloud has no termination code of its own for time-outs: CANCELED stands for "by the platform,
# for example if the maximum run duration was exceeded".
TIMED_OUT = State(
    LifeCycle.TERMINATED,
    Result.TIMEDOUT,
    "Run timed out.",
    "CANCELED",
    "CLIENT_ERROR",
    stopped=True,
)


def queued(limit: int) -> State:
    """Return the state of a run that waits for others of its job to end."""
    return State(
        LifeCycle.QUEUED,
        message=f"Queued due to reaching maximum concurrent runs of {limit}.",
    )


def queued_too_long(queued: State) -> State:
    """Return the state of a run that has been in the queue for as long as the cloud allows."""
    return State(
        LifeCycle.SKIPPED,
        Result.MAXIMUM_CONCURRENT_RUNS_REACHED,
        f"{queued.message} The run was removed from the queue after 48 hours.",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "CLIENT_ERROR",
    )


def over_limit(limit: int) -> State:
    """Return the state of a run that was dropped because its job does not queue."""
    return State(
        LifeCycle.SKIPPED,
        Result.MAXIMUM_CONCURRENT_RUNS_REACHED,
        f"The maximum concurrent runs of {limit} was reached.",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "CLIENT_ERROR",
    )


def cluster_failed(reason: str) -> State:
    """Return the state of a task run whose cluster did not start."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        f"Cluster could not be started: {reason}",
        "CLUSTER_ERROR",
        "INTERNAL_ERROR",
    )


def notebook_missing(path: str, user_name: str) -> State:
    """Return the state of a task run whose notebook is not in the workspace."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        f'Unable to access the notebook "{path}". Either it does not exist, or the identity used'
        f" to run this job, {user_name}, lacks the required permissions.",
        "RESOURCE_NOT_FOUND",
        "CLIENT_ERROR",
    )


def library_failed(library: str, reason: str) -> State:
    """Return the state of a task run whose compute could not be given a library."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        f"Library installation failed for library due to user error for {library}."
        f" Error messages: {reason}",
        "LIBRARY_INSTALLATION_ERROR",
        "CLIENT_ERROR",
    )


def checkout_failed(reason: str) -> State:
    """Return the state of a task run whose Git repository or commit cannot be read."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        f"Failed to checkout Git repository: {reason}",
        "REPOSITORY_CHECKOUT_FAILED",
        "CLIENT_ERROR",
    )


def of_started_run(state: State) -> State:
    """Return how a task ends whose work was another run, given how that run ended."""
    if state.result in {Result.SUCCESS, Result.SUCCESS_WITH_FAILURES}:
        return SUCCEEDED
    if state.result is Result.CANCELED:
        return TASK_CANCELED
    return replace(WORKLOAD_FAILED, message=state.message, code=state.code, kind=state.kind)


def invalid_configuration(reason: str) -> State:
    """Return the state of a task run whose parameters cannot be resolved."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        reason,
        "INVALID_RUN_CONFIGURATION",
        "CLIENT_ERROR",
    )
