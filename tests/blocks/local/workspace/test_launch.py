"""How runs begin: which tasks, in which state, with which place in the queue."""

from __future__ import annotations

from itertools import count

import pytest

from blocks.local.workspace import states
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.launch import admission, first_attempts, select_tasks
from blocks.local.workspace.specs import TaskSpec
from blocks.local.workspace.states import LifeCycle, Result

TASKS = {
    "a": TaskSpec("a"),
    "b": TaskSpec("b", ("a",)),
    "c": TaskSpec("c", ("b",)),
    "x": TaskSpec("x", disabled=True),
}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ([], "abcx"),
        (["b"], "b"),
        (["+b"], "ab"),
        (["b+"], "bc"),
        (["+b+"], "abc"),
        (["c", "x"], "cx"),
    ],
)
def test_only(only: list[str], expected: str) -> None:
    assert select_tasks(only, TASKS) == tuple(expected)


def test_only_with_an_unknown_task() -> None:
    with pytest.raises(ApiError, match="'z' in 'only'"):
        select_tasks(["+z"], TASKS)


@pytest.mark.parametrize(
    ("limit", "queue", "request_queue", "running", "expected"),
    [
        (1, True, None, 0, LifeCycle.PENDING),
        (1, True, None, 1, LifeCycle.QUEUED),
        (1, False, None, 1, LifeCycle.SKIPPED),
        (1, False, True, 1, LifeCycle.QUEUED),
        (1, True, False, 1, LifeCycle.SKIPPED),
        (2, True, None, 1, LifeCycle.PENDING),
        (0, True, None, 0, LifeCycle.SKIPPED),
    ],
)
def test_admission(
    limit: int, queue: bool, request_queue: bool | None, running: int, expected: LifeCycle
) -> None:
    settings = {"max_concurrent_runs": limit, "queue": {"enabled": queue}}
    state = admission(settings, running, queue=request_queue)
    assert state.life_cycle is expected
    if expected is LifeCycle.SKIPPED:
        assert state.result is Result.MAXIMUM_CONCURRENT_RUNS_REACHED
        assert state.code == "MAX_CONCURRENT_RUNS_EXCEEDED"


def test_first_attempts() -> None:
    ids = count(10)
    attempts = first_attempts("abx", TASKS, lambda: next(ids), queued=True)
    assert [attempt.run_id for attempt in attempts] == [10, 11, 12]
    assert [attempt.state.life_cycle for attempt in attempts] == ["QUEUED", "BLOCKED", "SKIPPED"]
    assert attempts[2].state == states.DISABLED
    previous = {attempt.task.key: attempt for attempt in attempts}
    named = frozenset({"x"})
    again = first_attempts(
        "bx", TASKS, lambda: next(ids), previous=previous, position=1, enabled=named
    )
    assert [(a.task.key, a.number, a.round, a.state) for a in again] == [
        ("b", 1, 1, states.BLOCKED),
        ("x", 1, 1, states.BLOCKED),
    ]
