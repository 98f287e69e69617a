"""Whatever stops a flow run stops its job run on Databricks, wherever that stands."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.databricks import DatabricksJob, RepairPolicy
from blocks.local.stack import StackDetails
from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from tests.flows.analyses import analyse, flow_run_id, job_failure, objects_of, tables_of
from tests.flows.conftest import events, job_on, on_the_stack, task_runs
from tests.flows.processes import create, runs_of, start, wait_until

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
    job = mine.load_databricks_job()
    alone: dict[str, Any] = {name: getattr(job, name) for name in DatabricksJob.model_fields}
    DatabricksJob(**(alone | {"max_concurrent_runs": 1})).save(mine.databricks_job, overwrite=True)

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
