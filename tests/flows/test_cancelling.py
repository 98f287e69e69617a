"""Whatever stops a flow run stops its job run on Databricks, wherever that stands."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.databricks import RepairPolicy
from blocks.local.stack import StackDetails
from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from flows.sweep import sweep
from tests.flows.analyses import analyse, flow_run_id, job_failure, objects_of, tables_of
from tests.flows.conftest import change_job, events, job_on, on_the_stack, task_runs
from tests.flows.processes import (
    PREFECT,
    alive,
    attempts,
    create,
    environment,
    kill,
    reschedule,
    runs_of,
    start,
    state_of,
    wait_until,
)
from tests.flows.test_asking import deployed

pytestmark = pytest.mark.slow


def test_the_deadline_ends_the_job_run_and_fails_the_flow_run(
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=300)
    policy = RepairPolicy(deadline_minutes=0.1)
    state = analyse(connections, tmp_path, repair=policy)
    assert state.is_failed()
    error = job_failure(state)
    assert "ended as canceled" in str(error)
    assert "deadline_minutes is 0.1" in str(error)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    assert objects_of(state, connections) == []
    shown = [(each.name, each.state_name) for each in task_runs(flow_run_id(state))]
    assert ("join_data", "Cancelled") in shown

    (event,) = events(flow_run_id(state), "databricks.run.failed", 1)
    assert event.payload["outcome"] == "canceled"
    assert "deadline_minutes" in event.payload["reason"]


def test_the_time_out_of_the_flow_reaches_databricks(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    # Long enough for the job run to have begun.
    flow = renewable_analysis.with_options(timeout_seconds=30)
    state = flow("Norway", connections=connections, output=str(tmp_path), return_state=True)
    assert state.name == "TimedOut"
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    assert objects_of(state, connections) == []
    assert tables_of(state, connections) == []
    assert all(each.state and each.state.is_final() for each in task_runs(flow_run_id(state)))


def test_a_flow_run_that_may_not_watch_any_more_ends_its_job_run(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run_id = create(connections, tmp_path)
    process = start(flow_run_id)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    faulty.faults.add("expired_token", endpoint="GET jobs/runs/get")
    process.wait(300)
    failed = state_of(flow_run_id)
    assert failed.is_failed()
    assert "Invalid access token" in str(failed.message)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    assert len(faulty.journal("POST jobs/runs/cancel")) == 1
    assert tables_of(failed, connections) == []
    assert all(each.state and each.state.is_final() for each in task_runs(flow_run_id))


def test_the_run_of_a_deployment_is_cancelled_while_it_waits_for_an_answer(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = deployed(connections, tmp_path)
    start(flow_run_id).wait(300)
    assert state_of(flow_run_id).name == "Suspended"
    assert objects_of(state_of(flow_run_id), connections)
    assert tables_of(state_of(flow_run_id), connections)

    command = [PREFECT, "flow-run", "cancel", str(flow_run_id)]
    subprocess.run(command, check=True, timeout=300, env=environment())
    cancelled = state_of(flow_run_id)
    assert cancelled.name == "Cancelled"
    (run,) = runs_of(faulty, connections)
    assert run["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    # No process of it is there that could clean up.
    sweep(connections=connections, grace_minutes=0)
    assert objects_of(cancelled, connections) == []
    assert tables_of(cancelled, connections) == []
    assert len(attempts(runs_of(faulty, connections)[0])) == 2


def test_a_restart_does_not_start_the_deadline_anew(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run_id = create(connections, tmp_path, {"deadline_minutes": 0.5})
    first = start(flow_run_id)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    kill(first)
    (run,) = runs_of(faulty, connections)
    # It is over while nobody watches.
    wait_until(lambda: time.time() > run["start_time"] / 1000 + 30)

    reschedule(flow_run_id)
    restarted = time.time()
    start(flow_run_id).wait(300)
    assert state_of(flow_run_id).is_failed()
    assert "deadline_minutes is 0.5" in str(state_of(flow_run_id).message)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    assert run["end_time"] / 1000 < restarted + 30


@pytest.fixture
def slow_to_start(stack: StackDetails, tmp_path: Path) -> Iterator[RunningWorkspace]:
    """A workspace whose clusters take five minutes to start."""
    with on_the_stack(
        stack, tmp_path / "workspace", "--faults", "--cluster-start-seconds", "300"
    ) as workspace:
        yield workspace


def test_pending_and_queued_runs_are_cancelled_too(
    slow_to_start: RunningWorkspace, connections: Connections, tmp_path: Path
) -> None:
    mine = job_on(slow_to_start, connections, tmp_path)
    change_job(mine, max_concurrent_runs=1)

    processes = []
    for number in (1, 2):
        processes.append(start(create(mine, tmp_path / str(number))))
        wait_until(lambda number=number: len(runs_of(slow_to_start, mine)) == number)  # type: ignore[misc]
    wait_until(lambda: states(slow_to_start, mine) == ["PENDING", "QUEUED"])
    # The one that waits goes first, or it would begin.
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
        process.wait(300)
    assert states(slow_to_start, mine) == ["TERMINATED", "TERMINATED"]
    results = [run["state"]["result_state"] for run in runs_of(slow_to_start, mine)]
    assert results == ["CANCELED", "CANCELED"]


def states(workspace: RunningWorkspace, connections: Connections) -> list[str]:
    return sorted(run["state"]["life_cycle_state"] for run in runs_of(workspace, connections))
