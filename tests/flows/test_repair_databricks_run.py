"""A person repairs a run by its id."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from blocks.databricks import RepairPolicy
from flows.connections import Connections
from flows.databricks import DatabricksRunFailedError
from flows.repair_databricks_run import NotRepairedError, repair_databricks_run
from tests.flows.analyses import analyse, artifacts, flow_run_id, job_failure
from tests.flows.conftest import task_runs


def test_failed_tasks_are_run_again_and_nothing_else(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = failing(transform_data=2)
    first = analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=0))
    error = job_failure(first)
    run_id, job = error.state.run_id, connections.databricks_job

    failed = repair_databricks_run(run_id, job=job, return_state=True)
    with pytest.raises(DatabricksRunFailedError, match="made to fail, 1 to go"):
        failed.result()
    assert "| Run again | transform_data" in receipt(failed, run_id)
    with pytest.raises(NotRepairedError, match="no task nowhere"):
        repair_databricks_run(run_id, tasks=["nowhere"], job=job)
    state = repair_databricks_run(run_id, tasks=["transform_data"], job=job, return_state=True)
    assert (state.name, state.message) == ("Repaired", "Run again: transform_data")
    shown = [(each.name, each.state_name) for each in task_runs(flow_run_id(state))]
    assert shown == [("repair", "Completed"), ("transform_data", "Completed")]
    assert "| Repair 1 | Repair 2 | Sum |" in receipt(state, run_id)
    with pytest.raises(NotRepairedError, match="every task of it succeeded"):
        repair_databricks_run(run_id, job=job)


def receipt(state: State[Any], run_id: int) -> str:
    return artifacts(flow_run_id(state))[f"databricks-receipt-{run_id}"]
