"""What happens next in a run: pure decisions, which the engine carries out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from blocks.local.workspace import states
from blocks.local.workspace.conditions import verdict
from blocks.local.workspace.endings import run_ending
from blocks.local.workspace.runs import Attempt, Run, Stop
from blocks.local.workspace.specs import TaskSpec
from blocks.local.workspace.states import LifeCycle, Result, State


@dataclass(frozen=True)
class StartTask:
    """Run an attempt that was blocked."""

    attempt: Attempt


@dataclass(frozen=True)
class EndTask:
    """Give an attempt its final state, without (further) running it."""

    attempt: Attempt
    state: State


@dataclass(frozen=True)
class RetryTask:
    """Close a failed attempt and add the next one."""

    attempt: Attempt


@dataclass(frozen=True)
class StopTask:
    """End the process of an attempt that is being executed."""

    attempt: Attempt
    reason: Stop


@dataclass(frozen=True)
class StopRun:
    """Begin to stop the whole run."""

    reason: Stop


@dataclass(frozen=True)
class SetRun:
    """Give the run another state; the last one is terminal."""

    state: State


Step = StartTask | EndTask | RetryTask | StopTask | StopRun | SetRun

# The cloud keeps a run in the queue for 48 hours at most.
MAX_QUEUED_MILLISECONDS = 48 * 3600 * 1000

EXECUTING = frozenset({LifeCycle.PENDING, LifeCycle.RUNNING, LifeCycle.TERMINATING})
_ENDING_WITHOUT_RUNNING = {
    Result.EXCLUDED: states.EXCLUDED,
    Result.UPSTREAM_FAILED: states.UPSTREAM_FAILED,
    Result.UPSTREAM_CANCELED: states.UPSTREAM_CANCELED,
}


def next_steps(run: Run, now: int) -> tuple[Step, ...]:
    """Decide what to do in a run at this moment.

    Carry the steps out, then ask again: one answer may enable the next.

    Args:
        run: The run.
        now: Epoch milliseconds.

    Returns:
        The steps, in order; none when there is nothing to do but wait.
    """
    current = run.latest
    if run.stop is not None:
        steps = tuple(_stop(current.values(), run.stop))
    elif run.queued and now < _queue_due(run):
        return ()
    elif run.queued:
        ending = states.queued_too_long(run.state)
        return (
            *(EndTask(attempt, ending) for attempt in run.attempts if not attempt.state.terminal),
            SetRun(ending),
        )
    elif run.round.timeout and now >= _run_due(run):
        return (StopRun(Stop.TIMEOUT),)
    else:
        steps = _within_concurrency(
            run,
            [
                step
                for attempt in current.values()
                if (step := _next_step(attempt, current, now)) is not None
            ],
        )
    if all(attempt.state.terminal for attempt in current.values()):
        return (*steps, SetRun(run_ending(current, run.stop)))
    visible = _visible_state(run)
    return steps if visible == run.state else (*steps, SetRun(visible))


def next_deadline(run: Run) -> int | None:
    """Return when something happens by the clock alone, in epoch milliseconds, or None."""
    if run.state.terminal:
        return None
    if run.queued:
        return _queue_due(run)
    due = [_run_due(run)] if run.round.timeout and run.stop is None else []
    for attempt in run.latest.values():
        if attempt.state.life_cycle is LifeCycle.WAITING_FOR_RETRY:
            due.append(_retry_due(attempt))
        elif attempt.state.life_cycle in EXECUTING and attempt.task.timeout and not attempt.stop:
            due.append(_task_due(attempt))
    return min(due, default=None)


def after_execution(run: Run, attempt: Attempt, ending: State) -> Attempt:
    """Decide what becomes of an attempt whose execution is over.

    Args:
        run: Its run.
        attempt: The attempt, as it was while it was executed.
        ending: How the execution ended on its own account.

    Returns:
        The attempt, at its end or waiting for a retry.
    """
    if attempt.stop is Stop.CANCEL:
        ending = states.TASK_CANCELED
    elif attempt.stop is Stop.TIMEOUT:
        ending = states.TIMED_OUT
    if run.stop is None and _retries(run, attempt, ending):
        waiting = State(LifeCycle.WAITING_FOR_RETRY, message=ending.message)
        return replace(attempt, state=waiting, ending=ending, stop=None)
    return replace(attempt, state=ending)


def _retries(run: Run, attempt: Attempt, final: State) -> bool:
    retryable = final.result is Result.FAILED or (
        final.result is Result.TIMEDOUT and attempt.task.retry_on_timeout
    )
    tries = sum(
        other.task.key == attempt.task.key and other.round == attempt.round
        for other in run.attempts
    )
    return retryable and (attempt.task.max_retries == -1 or tries <= attempt.task.max_retries)


def _retry_due(attempt: Attempt) -> int:
    return attempt.started + attempt.task.retry_interval


def _task_due(attempt: Attempt) -> int:
    return attempt.started + attempt.task.timeout * 1000


def _queue_due(run: Run) -> int:
    return run.round.requested + MAX_QUEUED_MILLISECONDS


def _run_due(run: Run) -> int:
    return run.round.started + run.round.timeout * 1000


def _within_concurrency(run: Run, steps: list[Step]) -> tuple[Step, ...]:
    """Leave out starts that are too many; only the iterations of a for-each have such a limit."""
    limit = run.round.settings.get("concurrency")
    if limit is None:
        return tuple(steps)
    # An attempt that is a retry has kept its place.
    busy = sum(
        attempt.number > 0 or attempt.state.life_cycle is not LifeCycle.BLOCKED
        for attempt in run.latest.values()
        if not attempt.state.terminal
    )
    starts = [step for step in steps if isinstance(step, StartTask) and not step.attempt.number]
    surplus = starts[max(0, limit - busy) :]
    return tuple(step for step in steps if step not in surplus)


def _next_step(attempt: Attempt, current: dict[str, Attempt], now: int) -> Step | None:
    match attempt.state.life_cycle:
        case LifeCycle.BLOCKED if attempt.stop is None:
            return _unblock(attempt, current)
        case LifeCycle.WAITING_FOR_RETRY if attempt.stop is None:
            return RetryTask(attempt) if now >= _retry_due(attempt) else None
        case LifeCycle.BLOCKED | LifeCycle.WAITING_FOR_RETRY:
            return EndTask(attempt, states.TASK_CANCELED)
        case LifeCycle.PENDING | LifeCycle.RUNNING if attempt.stop is not None:
            return StopTask(attempt, attempt.stop)
        case LifeCycle.PENDING | LifeCycle.RUNNING:
            late = attempt.task.timeout and now >= _task_due(attempt)
            return StopTask(attempt, Stop.TIMEOUT) if late else None
        case _:
            return None


def _unblock(attempt: Attempt, current: dict[str, Attempt]) -> Step | None:
    upstream = [
        current[key].state
        for key in attempt.task.depends_on
        if key in current and current[key].state not in states.UNSELECTED.values()
    ]
    if not all(state.terminal for state in upstream):
        return None
    if _another_outcome(attempt.task, current):
        return EndTask(attempt, states.EXCLUDED)
    decision = verdict(
        attempt.task.run_if, [state.result for state in upstream if state.result is not None]
    )
    if decision is None:
        return StartTask(attempt)
    return EndTask(attempt, _ENDING_WITHOUT_RUNNING[decision])


def _another_outcome(task: TaskSpec, current: dict[str, Attempt]) -> bool:
    """Tell whether a condition that the task depends on came out the other way."""
    return any(
        key in current and current[key].outcome not in {None, wanted}
        for key, wanted in task.outcomes.items()
    )


def _stop(attempts: Iterable[Attempt], reason: Stop) -> Iterable[Step]:
    for attempt in attempts:
        match attempt.state.life_cycle:
            case LifeCycle.BLOCKED | LifeCycle.QUEUED:
                endings = _NEVER_STARTED if attempt.task.depends_on else _NEVER_STARTED_ROOT
                yield EndTask(attempt, endings[reason])
            case LifeCycle.WAITING_FOR_RETRY if attempt.ending is not None:
                yield EndTask(attempt, attempt.ending)
            case LifeCycle.PENDING | LifeCycle.RUNNING:
                yield StopTask(attempt, reason)
            case _:
                pass


_NEVER_STARTED_ROOT = {Stop.CANCEL: states.TASK_CANCELED, Stop.TIMEOUT: states.TIMED_OUT}
_NEVER_STARTED = {Stop.CANCEL: states.UPSTREAM_CANCELED, Stop.TIMEOUT: states.UPSTREAM_FAILED}


def _visible_state(run: Run) -> State:
    """Return the state of a run that has not ended: the furthest of its tasks decides."""
    if run.stop is not None:
        return states.STOPPING
    begun = any(
        attempt.round == run.round.position and attempt.state.life_cycle not in _NOT_BEGUN
        for attempt in run.attempts
    )
    return states.RUNNING if begun else states.PENDING


_NOT_BEGUN = frozenset({LifeCycle.BLOCKED, LifeCycle.PENDING})
