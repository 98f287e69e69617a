"""A person repairs a run by its id."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.databricks import RepairPolicy
from flows.connections import Connections
from flows.databricks import DatabricksRunFailedError
from flows.repair_databricks_run import NotRepairedError, repair_databricks_run
from tests.flows.analyses import analyse, flow_run_id, job_failure
from tests.flows.conftest import task_runs


def test_failed_tasks_are_run_again_and_nothing_else(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = failing(transform_data=2)
    first = analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=0))
    error = job_failure(first)
    run_id, job = error.state.run_id, connections.databricks_job

    with pytest.raises(DatabricksRunFailedError, match="made to fail, 1 to go"):
        repair_databricks_run(run_id, job=job)
    with pytest.raises(NotRepairedError, match="no task nowhere"):
        repair_databricks_run(run_id, tasks=["nowhere"], job=job)
    state = repair_databricks_run(run_id, tasks=["transform_data"], job=job, return_state=True)
    assert (state.name, state.message) == ("Repaired", "Run again: transform_data")
    shown = [(each.name, each.state_name) for each in task_runs(flow_run_id(state))]
    assert shown == [("repair", "Completed"), ("transform_data", "Completed")]
    with pytest.raises(NotRepairedError, match="every task of it succeeded"):
        repair_databricks_run(run_id, job=job)
