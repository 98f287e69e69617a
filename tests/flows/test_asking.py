"""A person decides what to repair, when the budget is spent."""

import contextvars
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from prefect.states import Scheduled

from blocks.databricks import NoRepair, RepairPlan, RepairPolicy
from blocks.databricks.state import Outcome, RunState, Status, TaskAttempt
from flows.asking import describe_failures, plan_decision
from flows.connections import Connections
from flows.renewable_analysis import Analysis, renewable_analysis


def failed_run() -> RunState:
    def attempt(key: str, number: int, outcome: Outcome, *depends_on: str) -> TaskAttempt:
        return TaskAttempt(key, number, 0, Status(outcome), depends_on)

    return RunState(
        7,
        1,
        Status(Outcome.FAILED),
        attempts=(
            attempt("a", 1, Outcome.SUCCEEDED),
            attempt("b", 2, Outcome.FAILED, "a"),
            attempt("c", 3, Outcome.UPSTREAM_FAILED, "b"),
            attempt("d", 4, Outcome.UPSTREAM_FAILED, "c"),
            attempt("e", 5, Outcome.FAILED, "a"),
        ),
        run_page_url="https://host/run/7",
    )


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (["b"], RepairPlan(("b", "c", "d"), None)),
        (["e"], RepairPlan(("e",), None)),
        (["a", "e", "e"], RepairPlan(("a", "b", "c", "d", "e"), None)),
        ([], NoRepair("a person decided against it")),
        (["b", "x"], NoRepair("there is no task x")),
    ],
)
def test_what_was_chosen_is_repaired_with_what_waits_for_it(
    tasks: list[str], expected: RepairPlan | NoRepair
) -> None:
    assert plan_decision(failed_run(), tasks) == expected


def test_the_question_says_what_failed_and_why() -> None:
    text = describe_failures(failed_run(), "max_repairs is 1", {2: "ValueError: a | b"})
    assert "https://host/run/7" in text
    assert "max_repairs is 1" in text
    assert "| b | failed | ValueError: a \\| b |" in text
    assert "| a |" not in text


def run_and_answer(
    connections: Connections, output: Path, answer: dict[str, Any] | None, minutes: float
) -> Any:
    """Run the flow, and answer its question as a person in the UI would."""
    with get_client(sync_client=True) as client:
        policy = RepairPolicy(max_repairs=0, when_exhausted="ask", answer_within_minutes=minutes)
        parameters = {
            "country": "Norway",
            "connections": connections.model_dump(),
            "repair": policy.model_dump(mode="json"),
            "output": str(output),
        }
        flow_run = client.create_flow_run(
            renewable_analysis, parameters=parameters, state=Scheduled()
        )

    def person(flow_run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            while client.read_flow_run(flow_run_id).state_name != "Paused":
                time.sleep(0.2)
        resume_flow_run(flow_run_id, run_input=answer)

    if answer is not None:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(person, flow_run.id), daemon=True).start()
    return run_flow(
        renewable_analysis, flow_run=flow_run, parameters=parameters, return_type="state"
    )


@pytest.mark.slow
def test_the_answer_is_carried_out(failing: Callable[..., Connections], tmp_path: Path) -> None:
    answer = {"tasks": ["transform_data"], "note": "try again"}
    state = run_and_answer(failing(transform_data=1), tmp_path, answer, minutes=5)
    assert state.name == "Repaired"
    analysis = state.result()
    assert isinstance(analysis, Analysis)
    assert analysis.databricks.repairs == 1


@pytest.mark.slow
def test_no_answer_is_a_clean_failure(failing: Callable[..., Connections], tmp_path: Path) -> None:
    state = run_and_answer(failing(transform_data=1), tmp_path, None, minutes=0.1)
    # The flow and the Prefect server both notice; whoever is first says it in its own words.
    assert state.is_failed()
    error = str(state.result(raise_on_failure=False))
    assert "nobody answered in time" in error or "never resumed" in error
