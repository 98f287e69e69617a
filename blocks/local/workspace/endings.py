"""How a run ends, given how its tasks did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from blocks.local.workspace import states
from blocks.local.workspace.conditions import FAILED, run_result
from blocks.local.workspace.runs import Attempt, Stop
from blocks.local.workspace.states import LifeCycle, Result, State


def run_ending(current: Mapping[str, Attempt], stop: Stop | None) -> State:
    """Return the final state of a run.

    Args:
        current: The latest attempt of each task, by key; all have ended.
        stop: Why the run was stopped, if it was.
    """
    if stop is Stop.CANCEL:
        return states.RUN_CANCELED
    if stop is Stop.TIMEOUT:
        return states.TIMED_OUT
    results = {
        key: attempt.state.result
        for key, attempt in current.items()
        if attempt.state.result is not None
    }
    result = run_result(results, {key: a.task.depends_on for key, a in current.items()})
    match result:
        case Result.SUCCESS:
            return states.SUCCEEDED
        case Result.SUCCESS_WITH_FAILURES:
            return replace(
                states.SUCCEEDED,
                result=result,
                code="SUCCESS_WITH_FAILURES",
            )
        case Result.CANCELED:
            return states.RUN_CANCELED
        case _:
            return _failed_run(current.values())


def _failed_run(attempts: Iterable[Attempt]) -> State:
    """Return the state of a failed run.

    The cloud shows INTERNAL_ERROR with FAILED here although nothing internal went wrong, and
    names one task that failed by itself.
    """
    failed = [attempt for attempt in attempts if attempt.state.result in FAILED]
    # After a repair of some tasks only, none may be left that failed by itself.
    culprit = min(
        failed,
        key=lambda attempt: (attempt.state.result is Result.UPSTREAM_FAILED, attempt.run_id),
    )
    skipped = any(attempt.state.result is Result.UPSTREAM_FAILED for attempt in failed)
    message = (
        f"Task {culprit.task.key} failed with message: {culprit.state.message.rstrip('.')}."
        + (" This caused all downstream tasks to get skipped." if skipped else "")
    )
    return replace(
        culprit.state,
        life_cycle=LifeCycle.INTERNAL_ERROR,
        result=Result.FAILED,
        message=message,
        stopped=False,
    )
