"""What a fault does: the answer to a request, or the end of a task. Pure.

The states follow the termination codes of the Jobs API ("Additional codes might be introduced");
the texts are those of the cloud's run pages where they are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto

from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.faults.specs import (
    CallFault,
    ExpiredToken,
    Refusal,
    TaskException,
    TaskFault,
    TaskLoss,
)
from blocks.local.workspace.notebook.contract import NotebookOutcome
from blocks.local.workspace.states import DRIVER_LOST, WORKLOAD_FAILED, LifeCycle, Result, State

MALFORMED = b'{"run_id": '

_REFUSALS = {
    "too_many_requests": ApiError(
        429, "REQUEST_LIMIT_EXCEEDED", "The request rate limit has been reached; try again later."
    ),
    "internal_error": ApiError(500, "INTERNAL_ERROR", "An internal error occurred."),
    "unavailable": ApiError(
        503, "TEMPORARILY_UNAVAILABLE", "The service is temporarily unavailable."
    ),
}
_EXPIRED = {
    401: ApiError(401, "UNAUTHENTICATED", "Token is expired."),
    # As to any bad token: with a number for a code.
    403: ApiError(403, 403, "Invalid access token."),
}


def refusal(fault: CallFault) -> ApiError | None:
    """Return the error that a fault answers with; None if it does something else."""
    match fault:
        case Refusal():
            return _REFUSALS[fault.kind]
        case ExpiredToken():
            return _EXPIRED[fault.status]
        case _:
            return None


def retry_after(fault: CallFault, now: float) -> Mapping[str, str]:
    """Return the ``Retry-After`` header of a fault's answer, if it is to have one.

    Args:
        fault: The fault.
        now: Epoch seconds.
    """
    if not isinstance(fault, Refusal) or fault.retry_after is None:
        return {}
    if fault.retry_after_form == "date":
        return {"Retry-After": formatdate(now + fault.retry_after, usegmt=True)}
    return {"Retry-After": str(fault.retry_after)}


class Moment(Enum):
    """When a fault ends an attempt to run a task."""

    INSTALLING = auto()
    """While it is ``PENDING``, its cluster up: libraries are installed then."""
    STARTING = auto()
    """When it is ``RUNNING``, in the place of its code."""
    RUNNING = auto()
    """While its code runs."""


@dataclass(frozen=True)
class TaskEnding:
    """How a fault ends an attempt to run a task.

    Attributes:
        state: The state in which the attempt ends.
        moment: When.
        error: What its output shows as the exception, if anything.
        after: Seconds that its code has run by then.
        of_cluster: Whether everything else on its cluster ends like it.
    """

    state: State
    moment: Moment
    error: str = ""
    after: float = 0
    of_cluster: bool = False

    @property
    def outcome(self) -> NotebookOutcome | None:
        """What the attempt leaves behind in the place of its code's output, if anything."""
        if not self.error:
            return None
        return NotebookOutcome("failed", error=self.error, error_trace=self.error)


def task_ending(fault: TaskFault) -> TaskEnding:
    """Return how a fault ends an attempt."""
    match fault:
        case TaskException(error=error):
            return TaskEnding(WORKLOAD_FAILED, Moment.STARTING, error)
        case TaskLoss(kind=kind, after_seconds=after):
            of_cluster = kind != "out_of_memory"
            return TaskEnding(_LOSSES[kind], Moment.RUNNING, after=after, of_cluster=of_cluster)
        case _:
            return TaskEnding(_LIBRARY_FAILED, Moment.INSTALLING)


_LIBRARY_FAILED = State(
    LifeCycle.INTERNAL_ERROR,
    Result.FAILED,
    "Library installation failed for library due to user error.",
    "LIBRARY_INSTALLATION_ERROR",
    "CLIENT_ERROR",
)
_LOSSES = {
    "cluster_lost": State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        "Cluster became unreachable during run.",
        "CLUSTER_ERROR",
        "INTERNAL_ERROR",
    ),
    "spot_lost": State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        "Cluster was terminated. Reason: SPOT_INSTANCE_TERMINATION (CLOUD_FAILURE).",
        "CLOUD_FAILURE",
        "CLOUD_FAILURE",
    ),
    "driver_lost": DRIVER_LOST,
    "out_of_memory": State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        "The Python process exited with exit code 137 (SIGKILL: Killed)."
        " This may have been caused by an OOM error.",
        "DRIVER_ERROR",
        "INTERNAL_ERROR",
    ),
}
