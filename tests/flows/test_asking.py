"""A person decides what to repair, when the budget is spent."""

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from prefect.states import Scheduled

from blocks.databricks import NoRepair, RepairPlan, RepairPolicy
from blocks.databricks.state import Outcome, RunState, Status, TaskAttempt
from blocks.local.workspace.testing import RunningWorkspace
from flows.asking import describe_failures, plan_decision
from flows.connections import Connections
from flows.record import read_notes
from flows.renewable_analysis import Analysis, renewable_analysis
from tests.flows.analyses import flow_run_id as id_of
from tests.flows.conftest import assert_logged, events
from tests.flows.processes import (
    attempts,
    create,
    kill,
    parameters_for,
    reschedule,
    runs_of,
    start,
    state_of,
    wait_until,
)


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
    reason = "max_repairs allows no repair"
    text = describe_failures(failed_run(), reason, {2: "ValueError: a | b"})
    assert "https://host/run/7" in text
    assert f"It is not repaired unasked: {reason}." in text
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
def test_the_answer_is_carried_out(
    failing: Callable[..., Connections], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="prefect.flow_runs")
    answer = {"tasks": ["transform_data"], "note": "try again"}
    state = run_and_answer(failing(transform_data=1), tmp_path, answer, minutes=5)
    assert state.name == "Repaired"
    analysis = state.result()
    assert isinstance(analysis, Analysis)
    assert analysis.databricks.repairs == 1
    assert_logged(id_of(state), "Decided: transform_data. try again")


@pytest.mark.slow
def test_no_answer_is_a_clean_failure(failing: Callable[..., Connections], tmp_path: Path) -> None:
    state = run_and_answer(failing(transform_data=1), tmp_path, None, minutes=0.1)
    # The flow and the Prefect server both notice; whoever is first says it in its own words.
    assert state.is_failed()
    error = str(state.result(raise_on_failure=False))
    assert "nobody answered in time" in error or "never resumed" in error


@pytest.mark.slow
@pytest.mark.parametrize("answered", ["before the restart", "after the restart"])
def test_the_question_survives_a_process_that_was_killed(
    answered: str,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = create(connections, tmp_path, {"max_repairs": 0, "when_exhausted": "ask"})
    first = start(flow_run_id)
    wait_until(lambda: state_of(flow_run_id).name == "Paused")
    kill(first)
    answer = {"tasks": ["transform_data"], "parameters": {"note": "from a person"}}
    if answered == "before the restart":
        resume_flow_run(flow_run_id, run_input=answer)
        second = start(flow_run_id)
    else:
        reschedule(flow_run_id)
        second = start(flow_run_id)
        wait_until(lambda: state_of(flow_run_id).name == "Paused")
        resume_flow_run(flow_run_id, run_input=answer)
    assert second.wait(300) == 0
    assert state_of(flow_run_id).name == "Repaired"
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [("join_data", 0), ("transform_data", 0), ("transform_data", 1)]
    (repair,) = faulty.journal("POST jobs/runs/repair")
    assert repair.body["job_parameters"]["country"] == "Norway"
    assert repair.body["job_parameters"]["note"] == "from a person"


@pytest.mark.slow
def test_the_time_for_an_answer_goes_on_while_no_process_waits(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    minutes = 30
    policy = {"max_repairs": 0, "when_exhausted": "ask", "answer_within_minutes": minutes}
    flow_run_id = create(connections, tmp_path, policy)
    first = start(flow_run_id)
    wait_until(lambda: state_of(flow_run_id).name == "Paused")
    kill(first)
    # As if it had been asked half an hour ago.
    notes = read_notes(flow_run_id)
    assert notes.record is not None
    ((question, asked),) = notes.record.asked.items()
    assert time.time() - 300 < asked < time.time()
    with get_client(sync_client=True) as client:
        labels: dict[str, Any] = {"databricks.asked": json.dumps({question: asked - 60 * minutes})}
        client.update_flow_run_labels(flow_run_id, labels)

    reschedule(flow_run_id)
    start(flow_run_id).wait(300)
    assert state_of(flow_run_id).is_failed()
    assert "nobody answered in time" in str(state_of(flow_run_id).message)


@pytest.mark.slow
def test_what_an_earlier_repair_changed_of_the_cluster_stays_when_a_person_decides(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("out_of_memory", task="join_data")
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    policy = {
        "user_code_repairs": 1,
        "task_repairs": 1,
        "out_of_memory_node_type_id": "i3.4xlarge",
        "when_exhausted": "ask",
    }
    flow_run_id = create(connections, tmp_path, policy)
    process = start(flow_run_id)
    wait_until(lambda: state_of(flow_run_id).name == "Paused")
    resume_flow_run(flow_run_id, run_input={"tasks": ["transform_data"]})
    assert process.wait(300) == 0
    assert state_of(flow_run_id).name == "Repaired"
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [
        ("join_data", 0),
        ("join_data", 1),
        ("transform_data", 0),
        ("transform_data", 1),
        ("transform_data", 2),
    ]
    assert len(faulty.journal("POST jobs/reset")) == 1


def deployed(connections: Connections, output: Path, **policy: object) -> UUID:
    """Create a flow run of a deployment that asks at once."""
    repair = {"max_repairs": 0, "when_exhausted": "ask", **policy}
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            client.create_flow(renewable_analysis), f"asking {uuid4()}"
        )
        return client.create_flow_run_from_deployment(
            deployment, parameters=parameters_for(connections, output, repair)
        ).id


@pytest.mark.slow
def test_the_run_of_a_deployment_that_nobody_answers_fails_and_prefect_tells(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = deployed(connections, tmp_path, answer_within_minutes=0.1)
    start(flow_run_id).wait(300)
    wait_until(lambda: state_of(flow_run_id).is_failed())
    assert state_of(flow_run_id).message == "The flow was paused and never resumed."
    (event,) = events(flow_run_id, "prefect.flow-run.Failed", 1)
    assert "renewable-analysis" in {each.name for each in event.related if each.role == "flow"}


@pytest.mark.slow
def test_the_run_of_a_deployment_waits_for_the_answer_without_a_process(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom", times=2)
    flow_run_id = deployed(connections, tmp_path)
    for asked in (1, 2):
        # The process has ended by itself, and no run is alive.
        start(flow_run_id).wait(300)
        assert state_of(flow_run_id).name == "Suspended"
        (run,) = runs_of(faulty, connections)
        assert run["state"]["life_cycle_state"] == "INTERNAL_ERROR"
        assert len(attempts(run)) == 1 + asked
        resume_flow_run(flow_run_id, run_input={"tasks": ["transform_data"]})
        assert state_of(flow_run_id).is_scheduled()
    # One that is killed after it has taken the answer finds it again.
    faulty.faults.add("delay", endpoint="POST jobs/runs/repair", seconds=20)
    third = start(flow_run_id)
    wait_until(lambda: bool(faulty.faults.armed()[-1]["struck"]))
    kill(third)
    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    assert state_of(flow_run_id).name == "Repaired"
    (run,) = runs_of(faulty, connections)
    assert len(attempts(run)) == 4
