"""A repair runs what it is asked to run, and refuses what the cloud refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.repair import RepairChoice, check_latest_repair, tasks_to_rerun
from blocks.local.workspace.specs import TaskSpec
from blocks.local.workspace.states import Result
from blocks.local.workspace.switches import Switches

TASKS = {
    "a": TaskSpec("a"),
    "b": TaskSpec("b", ("a",)),
    "c": TaskSpec("c", ("b",)),
    "side": TaskSpec("side", ("a",)),
    "off": TaskSpec("off", ("b",), disabled=True),
}
RESULTS = {
    "a": Result.SUCCESS,
    "b": Result.FAILED,
    "c": Result.UPSTREAM_FAILED,
    "side": Result.SUCCESS,
    "off": Result.DISABLED,
}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (RepairChoice(("b",)), ("b",)),
        (RepairChoice(("c", "b")), ("b", "c")),
        (RepairChoice(("a",)), ("a",)),
        (RepairChoice(rerun_all_failed_tasks=True), ("b", "c")),
        (RepairChoice(("b",), rerun_dependent_tasks=True), ("b", "c")),
        (RepairChoice(("a",), rerun_dependent_tasks=True), ("a", "b", "c", "side")),
        (RepairChoice(("off",)), ("off",)),
    ],
)
def test_selections(choice: RepairChoice, expected: tuple[str, ...]) -> None:
    assert tasks_to_rerun(choice, RESULTS, TASKS, Switches()) == expected


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (RepairChoice(), "Either rerun_tasks or rerun_all_failed_tasks"),
        (RepairChoice(("b",), rerun_all_failed_tasks=True), "Only one of"),
        (RepairChoice(("b", "b")), "rerun_tasks cannot contain duplicate task keys."),
        (RepairChoice(("nobody",)), "'nobody' in rerun_tasks is not a task"),
        (RepairChoice(rerun_dependent_tasks=True), "Either rerun_tasks"),
    ],
)
def test_refusals(choice: RepairChoice, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        tasks_to_rerun(choice, RESULTS, TASKS, Switches())
    assert (refused.value.status, refused.value.error_code) == (400, "INVALID_PARAMETER_VALUE")


def test_nothing_failed_and_removed_tasks_are_refused() -> None:
    everything = RepairChoice(rerun_all_failed_tasks=True)
    with pytest.raises(ApiError, match="no failed tasks"):
        tasks_to_rerun(everything, dict.fromkeys(TASKS, Result.SUCCESS), TASKS, Switches())
    with pytest.raises(ApiError, match="'b' no longer exists"):
        tasks_to_rerun(everything, RESULTS, {"a": TASKS["a"], "c": TaskSpec("c")}, Switches())


@given(given_id=st.none() | st.integers(1, 3), actual=st.none() | st.integers(1, 3))
def test_the_latest_repair_has_to_be_named(given_id: int | None, actual: int | None) -> None:
    if given_id == actual:
        check_latest_repair(given_id, actual)
        return
    with pytest.raises(ApiError) as refused:
        check_latest_repair(given_id, actual)
    expected = "The latest repair ID needs to be provided in order to create a new repair"
    assert (refused.value.message == expected) == (given_id is None)
