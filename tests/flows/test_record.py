"""What counts as a new budget, and what does not."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed, Pending, Running

from blocks.databricks import RepairPolicy
from flows.record import Budget, count_failures, granted

START = 1_760_000_000.0


FIRST = Budget(failures=2, repairs=0, since=START)


@given(restarts=st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e6)), min_size=1))
def test_restarts_grant_nothing(restarts: list[tuple[int, float]]) -> None:
    budget = FIRST
    for repairs, later in restarts:
        budget = granted(budget, FIRST.failures, repairs, START + later)
    assert budget == FIRST


@given(repairs=st.integers(0, 9), later=st.floats(0, 1e6))
def test_a_retry_after_a_failure_grants_everything_anew(repairs: int, later: float) -> None:
    now = START + later
    assert granted(FIRST, 3, repairs, now) == Budget(3, repairs, now)


def test_only_failures_count_not_crashes_nor_prefects_own_retries() -> None:
    states: list[State[Any]] = [
        Pending(),
        Running(),
        AwaitingRetry(),
        Running(),
        Crashed(),
        Failed(),
        Cancelled(),
    ]
    assert count_failures(states) == 1
    # A time-out of the flow, as Prefect names it.
    assert count_failures([Failed(name="TimedOut")]) == 1


@pytest.mark.parametrize(("minutes", "expected"), [(0, math.inf), (0.5, START + 30)])
def test_the_deadline_counts_from_the_budget(minutes: float, expected: float) -> None:
    assert FIRST.deadline(RepairPolicy(deadline_minutes=minutes)) == expected
    later = replace(FIRST, since=START + 1)
    assert later.deadline(RepairPolicy(deadline_minutes=1)) == START + 61
