"""Which fault strikes and what it does: without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.faults.effects import retry_after, task_ending
from blocks.local.workspace.faults.endpoints import matches
from blocks.local.workspace.faults.policy import Armed, before_repair, repaired_since, strike
from blocks.local.workspace.faults.specs import (
    Fault,
    Refusal,
    TaskFault,
    parse_fault,
)
from blocks.local.workspace.states import Result
from tests.blocks.local.workspace.fake import Bench, job, task


def fault(kind: str = "cut", **settings: Any) -> Fault:
    return parse_fault({"kind": kind, "endpoint": "* *", **settings})


def pattern(item: Fault, calls: int) -> list[bool]:
    """Return at which of some calls in a row a fault strikes."""
    armed: tuple[Armed, ...] = (Armed(1, item, 0),)
    struck = []
    for _ in range(calls):
        armed, chosen = strike(armed, lambda _item: True)
        struck.append(chosen is not None)
    return struck


def test_a_fault_strikes_once_unless_it_is_told_otherwise() -> None:
    assert pattern(fault(), 3) == [True, False, False]
    assert pattern(fault(times=2), 3) == [True, True, False]


@given(probability=st.floats(0.01, 1), seed=st.integers(), limit=st.none() | st.integers(1, 5))
def test_a_seed_decides_when_a_fault_strikes(
    probability: float, seed: int, limit: int | None
) -> None:
    item = fault(probability=probability, seed=seed, times=limit)
    found = pattern(item, 30)
    assert found == pattern(item, 30)
    assert limit is None or sum(found) <= limit
    assert probability < 1 or sum(found) == (limit or 30)


def test_a_probability_is_about_kept() -> None:
    assert 220 < sum(pattern(fault(probability=0.25, seed=7), 1000)) < 280


def test_the_oldest_that_is_not_spent_comes_first() -> None:
    armed: tuple[Armed, ...] = (Armed(1, fault(), 0), Armed(2, fault("delay", seconds=1), 0))
    numbers = []
    for _ in range(3):
        armed, chosen = strike(armed, lambda _item: True)
        numbers.append(chosen.number if chosen else None)
    assert numbers == [1, 2, None]
    assert [(item.met, item.struck) for item in armed] == [(1, 1), (1, 1)]


def test_what_does_not_concern_is_not_counted() -> None:
    armed, chosen = strike((Armed(1, fault(), 0),), lambda _item: False)
    assert (chosen, armed[0].met) == (None, 0)


@pytest.mark.parametrize(
    ("wanted", "path", "expected"),
    [
        ("GET jobs/runs/get", "/api/2.1/jobs/runs/get", True),
        ("GET jobs/runs/get", "/api/2.2/jobs/runs/get-output", False),
        ("POST jobs/runs/get", "/api/2.2/jobs/runs/get", False),
        ("* jobs/*", "/api/2.2/jobs/runs/get", True),
        ("* *", "/api/2.0/preview/scim/v2/Me", True),
        ("* *", "/local/faults", False),
        ("* *", "/runs/1", False),
    ],
)
def test_endpoints(wanted: str, path: str, expected: bool) -> None:
    assert matches(wanted, "GET", path) is expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "A fault needs a kind, one of too_many_requests, "),
        ({"kind": "fire"}, "A fault needs a kind, one of too_many_requests, "),
        ({"kind": "cut"}, "Missing required field: endpoint"),
        ({"kind": "cut", "endpoint": "/api/2.2/jobs/get"}, "Invalid value for field 'endpoint'"),
        ({"kind": "cut", "endpoint": "* *", "seconds": 1}, "Invalid value for field 'seconds'"),
        ({"kind": "cut", "endpoint": "* *", "times": 0}, "Invalid value for field 'times'"),
        ({"kind": "cut", "endpoint": "* *", "probability": 2}, "Invalid value for field 'prob"),
        ({"kind": "exception"}, "Missing required field: task"),
        ({"kind": "spot_lost", "task": "a", "endpoint": "* *"}, "Invalid value for field 'endp"),
    ],
)
def test_what_is_no_fault_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        parse_fault(values)


def test_retry_after_in_seconds_and_as_a_date() -> None:
    def header(**settings: Any) -> dict[str, str]:
        item = fault("too_many_requests", **settings)
        assert isinstance(item, Refusal)
        return dict(retry_after(item, 1_700_000_000.0))

    assert header() == {}
    assert header(retry_after=3) == {"Retry-After": "3"}
    dated = header(retry_after=20, retry_after_form="date")
    assert dated == {"Retry-After": "Tue, 14 Nov 2023 22:13:40 GMT"}


@pytest.mark.parametrize(
    ("kind", "code", "termination_type", "of_cluster"),
    [
        ("exception", "RUN_EXECUTION_ERROR", "CLIENT_ERROR", False),
        ("library_failed", "LIBRARY_INSTALLATION_ERROR", "CLIENT_ERROR", False),
        ("cluster_lost", "CLUSTER_ERROR", "INTERNAL_ERROR", True),
        ("spot_lost", "CLOUD_FAILURE", "CLOUD_FAILURE", True),
        ("driver_lost", "DRIVER_ERROR", "INTERNAL_ERROR", True),
        ("out_of_memory", "DRIVER_ERROR", "INTERNAL_ERROR", False),
    ],
)
def test_how_tasks_end(kind: str, code: str, termination_type: str, of_cluster: bool) -> None:
    item = parse_fault({"kind": kind, "task": "a"})
    assert isinstance(item, TaskFault)
    ending = task_ending(item)
    assert (ending.state.code, ending.state.kind) == (code, termination_type)
    assert (ending.state.result, ending.of_cluster) == (Result.FAILED, of_cluster)


def test_a_run_before_its_repair_reads_as_it_did(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b", "a")), a="fail ValueError: x")
    run_id = bench.run(job_id)
    failed = bench.finished(run_id)
    assert not repaired_since(failed, 0)
    bench.repair(run_id, "a", "b")
    repaired = bench.finished(run_id)
    assert before_repair(repaired) == failed
    assert repaired_since(repaired, failed.ended)
    assert not repaired_since(repaired, repaired.ended + 1)
