"""What Prefect shows of a job run while it is alive, and of attempts that no repair started."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from blocks.databricks import NotebookTask
from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from tests.flows.analyses import artifacts
from tests.flows.conftest import change_job, task_runs
from tests.flows.processes import alive, create, runs_of, start, state_of, wait_until
from tests.flows.test_restart import check_result

pytestmark = pytest.mark.slow


def test_a_retry_by_databricks_and_a_task_that_is_left_out_are_shown_as_they_happen(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=12)
    join, transform = connections.load_databricks_job().tasks
    notebook = tmp_path / "rescue.py"
    notebook.write_text("# Databricks notebook source\n")
    rescue = NotebookTask(
        task_key="rescue",
        notebook=str(notebook),
        depends_on=["join_data"],
        run_if="AT_LEAST_ONE_FAILED",
    )
    retried = transform.model_copy(update={"extra_settings": {"max_retries": 1}})
    change_job(connections, tasks=[join, retried, rescue])
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = create(connections, tmp_path)
    process = start(flow_run_id)

    wait_until(lambda: ("join_data", "running") in table(flow_run_id))
    (run,) = runs_of(faulty, connections)
    assert alive(run, "join_data")
    assert process.wait(300) == 0
    check_result(tmp_path)
    assert state_of(flow_run_id).name == "Completed"
    assert faulty.journal("POST jobs/runs/repair") == []
    assert sorted(table(flow_run_id)) == [
        ("join_data", "succeeded"),
        ("rescue", "excluded"),
        ("transform_data", "failed"),
        ("transform_data", "succeeded"),
    ]

    (run,) = runs_of(faulty, connections)
    keys = {task["task_key"] for task in run["tasks"]}
    shown = {
        (each.name, each.state_name): each
        for each in task_runs(flow_run_id)
        if each.name in {*keys, "repair"}
    }
    assert sorted(shown) == [
        ("join_data", "Completed"),
        ("rescue", "Excluded"),
        ("transform_data", "Completed"),
        ("transform_data", "Failed"),
    ]
    red = shown["transform_data", "Failed"].state
    assert red is not None
    assert "ValueError: boom" in str(red.message)

    (joined,) = (task for task in run["tasks"] if task["task_key"] == "join_data")
    mirror = shown["join_data", "Completed"]
    assert mirror.start_time is not None
    assert mirror.end_time is not None
    assert abs(mirror.start_time.timestamp() - joined["start_time"] / 1000) < 4
    assert abs(mirror.end_time.timestamp() - joined["end_time"] / 1000) < 4


def table(flow_run_id: UUID) -> list[tuple[str, str]]:
    """Return the tasks and their states as the flow run's table has them now."""
    found = [
        data for key, data in artifacts(flow_run_id).items() if key.startswith("databricks-tasks-")
    ]
    return [(row["task"], row["state"]) for data in found for row in json.loads(data)]
