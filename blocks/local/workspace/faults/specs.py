"""The faults that can be asked for: the bodies of ``POST /local/faults``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from blocks.local.workspace.errors import invalid
from blocks.local.workspace.models import parse

_LONGEST_SECONDS = 24 * 3600
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_SECONDS, allow_inf_nan=False)]
# As ``endpoints.matches`` takes it.
Endpoint = Annotated[str, Field(pattern=r"^([A-Z]+|\*) [^/ ][^ ]*$", examples=["POST jobs/*"])]


class Fault(BaseModel):
    """What all faults share.

    Attributes:
        kind: Which one.
        times: How often it strikes at most: once if neither this nor ``probability`` is given.
        probability: It strikes only with this probability, each time that it could.
        seed: Decides, with ``probability``, when it strikes; the same seed, the same pattern.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int = 0

    @property
    def limit(self) -> int | None:
        """How often it strikes at most; None for no limit."""
        return 1 if self.times is None and self.probability is None else self.times


class CallFault(Fault):
    """A fault of requests.

    Attributes:
        endpoint: The requests, of whatever version: ``GET jobs/runs/get``, ``POST jobs/*``.
        when: Whether it strikes ``before`` the request has an effect, or ``after``: then the
            request has been carried out, and only its answer is lost.
    """

    endpoint: Endpoint
    when: Literal["before", "after"] = "before"


class Refusal(CallFault):
    """An answer of 429, 500 or 503.

    Attributes:
        retry_after: Seconds for ``Retry-After``; no header without it.
        retry_after_form: Whether the header has the seconds or a date.
    """

    kind: Literal["too_many_requests", "internal_error", "unavailable"]
    retry_after: Annotated[int, Field(ge=0, le=_LONGEST_SECONDS)] | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"


class ExpiredToken(CallFault):
    """An answer as to a token that is no longer valid: the cloud's 403, or a 401."""

    kind: Literal["expired_token"]
    status: Literal[401, 403] = 403


class MalformedJson(CallFault):
    """An answer of 200 that is no JSON."""

    kind: Literal["malformed_json"]


class Cut(CallFault):
    """The connection is cut; no byte of an answer is sent."""

    kind: Literal["cut"]


class Delay(CallFault):
    """The right answer, late."""

    kind: Literal["delay"]
    seconds: Seconds


class StaleReads(Fault):
    """``jobs/runs/get`` shows a run as it was before its latest repair.

    Only runs that are repaired after the fault was added are concerned, and ``times`` counts the
    reads of these.
    """

    kind: Literal["stale_reads"]


class TaskFault(Fault):
    """A fault of an attempt to run a task.

    Attributes:
        task: ``task_key`` of the task, in whatever job.
    """

    task: str


class TaskException(TaskFault):
    """The task fails as if its code had raised; the code is not run.

    Attributes:
        error: ``error`` of ``runs/get-output``.
    """

    kind: Literal["exception"]
    error: str = "RuntimeError: a fault was asked for"


class TaskLibrary(TaskFault):
    """The task's libraries cannot be installed; its code is not run."""

    kind: Literal["library_failed"]


class TaskLoss(TaskFault):
    """The task loses what it runs on.

    With ``cluster_lost``, ``spot_lost`` and ``driver_lost`` every other task on its cluster does
    so too; ``out_of_memory`` ends the Python process of the task alone.

    Attributes:
        after_seconds: How long its code runs before that.
    """

    kind: Literal["cluster_lost", "spot_lost", "driver_lost", "out_of_memory"]
    after_seconds: Seconds = 0


_MODELS: dict[str, type[Fault]] = {
    "too_many_requests": Refusal,
    "internal_error": Refusal,
    "unavailable": Refusal,
    "expired_token": ExpiredToken,
    "malformed_json": MalformedJson,
    "cut": Cut,
    "delay": Delay,
    "stale_reads": StaleReads,
    "exception": TaskException,
    "library_failed": TaskLibrary,
    "cluster_lost": TaskLoss,
    "spot_lost": TaskLoss,
    "driver_lost": TaskLoss,
    "out_of_memory": TaskLoss,
}


def parse_fault(values: Mapping[str, Any]) -> Fault:
    """Return the fault that a request asks for.

    Raises:
        ApiError: It is none.
    """
    model = _MODELS.get(str(values.get("kind")))
    if model is None:
        raise invalid(f"A fault needs a kind, one of {', '.join(_MODELS)}.")
    return parse(model, values)
