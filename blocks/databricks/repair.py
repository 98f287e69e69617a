"""What to repair, decided without any I/O."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field

from blocks.databricks.state import Outcome, RunState


class RepairPolicy(BaseModel):
    """How a failed Databricks run is repaired: only the failed tasks run again."""

    max_repairs: int = Field(
        default=1,
        ge=0,
        le=20,
        description="How many times failed tasks are run again before the flow run fails.",
    )


@dataclass(frozen=True)
class RepairPlan:
    """A repair worth sending.

    Attributes:
        task_keys: Every task whose latest attempt did not succeed, once each: the failed ones and
            those that were skipped because of them (``runs/repair`` does not add these by itself).
        latest_repair_id: Id of the repair before, None for the first.
    """

    task_keys: tuple[str, ...]
    latest_repair_id: int | None


@dataclass(frozen=True)
class NoRepair:
    """Why a run is left as it is.

    Attributes:
        reason: Half a sentence that fits behind "not repaired:".
    """

    reason: str


def plan_repair(
    state: RunState, policy: RepairPolicy, repairs_before: int = 0
) -> RepairPlan | NoRepair:
    """Decide whether and what to repair.

    Args:
        state: The run, read with its repair history.
        policy: What the user allows.
        repairs_before: Repairs that the run already had and that do not count: a person who
            retries a failed flow run asks for another try.

    Returns:
        The repair to send, or the reason for sending none.
    """
    if not state.outcome.ended:
        return NoRepair("the run is still alive")
    if state.outcome.ok:
        return NoRepair("the run succeeded")
    if state.outcome is Outcome.CANCELED:
        return NoRepair("the run was cancelled")
    if not state.unsuccessful:
        return NoRepair("no task of it failed")
    if state.repairs - repairs_before >= policy.max_repairs:
        return NoRepair(f"max_repairs is {policy.max_repairs}")
    return RepairPlan(state.unsuccessful, state.latest_repair_id)
