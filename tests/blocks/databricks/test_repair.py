"""What is repaired, and when nothing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import NoRepair, RepairPlan, RepairPolicy, plan_repair
from blocks.databricks.state import HistoryItem, Outcome, RunState, Status, TaskAttempt


def run_of(outcome: Outcome, tasks: dict[str, Outcome], repairs: int = 0) -> RunState:
    return RunState(
        run_id=1,
        job_id=1,
        status=Status(outcome),
        attempts=tuple(
            TaskAttempt(key, number, 0, Status(each))
            for number, (key, each) in enumerate(tasks.items())
        ),
        history=tuple(
            HistoryItem(number or None, frozenset({number})) for number in range(repairs + 1)
        ),
    )


def test_failed_tasks_and_their_victims_are_sent_once_each() -> None:
    run = run_of(
        Outcome.FAILED,
        {"a": Outcome.SUCCEEDED, "b": Outcome.FAILED, "c": Outcome.UPSTREAM_FAILED},
    )
    assert plan_repair(run, RepairPolicy()) == RepairPlan(("b", "c"), None)


def test_the_repair_before_is_quoted() -> None:
    run = run_of(Outcome.FAILED, {"a": Outcome.TIMED_OUT}, repairs=2)
    assert plan_repair(run, RepairPolicy(max_repairs=3)) == RepairPlan(("a",), 2)


def test_the_budget_ends() -> None:
    run = run_of(Outcome.FAILED, {"a": Outcome.FAILED}, repairs=1)
    assert isinstance(plan_repair(run, RepairPolicy(max_repairs=1)), NoRepair)
    assert isinstance(plan_repair(run, RepairPolicy(max_repairs=1), repairs_before=1), RepairPlan)
    assert isinstance(plan_repair(run, RepairPolicy(max_repairs=0)), NoRepair)


@pytest.mark.parametrize(
    "outcome",
    [Outcome.PENDING, Outcome.RUNNING, Outcome.SUCCEEDED, Outcome.CANCELED, Outcome.EXCLUDED],
)
def test_what_is_alive_done_or_cancelled_is_left_alone(outcome: Outcome) -> None:
    run = run_of(outcome, {"a": Outcome.FAILED})
    assert isinstance(plan_repair(run, RepairPolicy(max_repairs=5)), NoRepair)


def test_a_run_that_never_started_a_task_is_left_alone() -> None:
    assert isinstance(plan_repair(run_of(Outcome.SKIPPED, {}), RepairPolicy()), NoRepair)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from(Outcome), max_size=6))
def test_a_success_is_never_run_again(tasks: dict[str, Outcome]) -> None:
    plan = plan_repair(run_of(Outcome.FAILED, tasks), RepairPolicy())
    wanted = {key for key, each in tasks.items() if each.ended and not each.ok}
    sent = plan.task_keys if isinstance(plan, RepairPlan) else ()
    assert set(sent) == wanted
    assert len(sent) == len(wanted)
