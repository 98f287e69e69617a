"""How a run or a repair begins: its tasks, its first attempts, its place in the queue. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blocks.local.workspace import states
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.runs import Attempt
from blocks.local.workspace.specs import TaskSpec, ancestors, descendants
from blocks.local.workspace.states import LifeCycle, State


def select_tasks(only: Iterable[str], tasks: Mapping[str, TaskSpec]) -> tuple[str, ...]:
    """Return the keys that ``only`` selects, in the order of the settings.

    Args:
        only: Task keys; ``+key`` adds what is upstream, ``key+`` what is downstream. Empty for
            every task.
        tasks: The job's tasks.

    Raises:
        ApiError: A key is unknown.
    """
    selectors = tuple(only)
    if not selectors:
        return tuple(tasks)
    selected: set[str] = set()
    for selector in selectors:
        key = selector.strip("+")
        if key not in tasks:
            raise invalid(f"Task '{key}' in 'only' is not a task of the job.")
        selected.add(key)
        if selector.startswith("+"):
            selected |= ancestors({key}, tasks)
        if selector.endswith("+"):
            selected |= descendants({key}, tasks)
    return tuple(key for key in tasks if key in selected)


def admission(settings: Mapping[str, Any], running: int, *, queue: bool | None = None) -> State:
    """Return the state in which a run or repair of a saved job begins.

    Args:
        settings: The job's.
        running: How many runs of the job are active and not queued.
        queue: What the request says about queueing; None if nothing.

    Returns:
        ``PENDING``, ``QUEUED``, or the final state of a run that is dropped.
    """
    limit = settings["max_concurrent_runs"]
    if running < limit:
        return states.PENDING
    queues = settings["queue"]["enabled"] if queue is None else queue
    return states.queued(limit) if queues and limit else states.over_limit(limit)


def first_attempts(
    keys: Iterable[str],
    tasks: Mapping[str, TaskSpec],
    new_id: Callable[[], int],
    *,
    previous: Mapping[str, Attempt] | None = None,
    position: int = 0,
    queued: bool = False,
    enabled: frozenset[str] = frozenset(),
) -> tuple[Attempt, ...]:
    """Return the attempts with which a round begins.

    Args:
        keys: The tasks that it runs.
        tasks: The job's tasks.
        new_id: Gives an id to each attempt.
        previous: In a repair: the current attempts by task key.
        position: Of the round in the repair history.
        queued: Whether the round has to wait for other runs.
        enabled: Tasks that run even if they are disabled, because a repair names them.
    """
    before = previous or {}
    return tuple(
        Attempt(
            run_id=new_id(),
            task=tasks[key],
            number=before[key].number + 1 if key in before else 0,
            round=position,
            state=_first_state(tasks[key], queued=queued, enabled=key in enabled),
        )
        for key in keys
    )


def _first_state(task: TaskSpec, *, queued: bool, enabled: bool) -> State:
    if task.disabled and not enabled:
        return states.DISABLED
    if queued and not task.depends_on:
        return State(LifeCycle.QUEUED)
    return states.BLOCKED
