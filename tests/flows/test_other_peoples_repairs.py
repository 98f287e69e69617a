"""A repair that somebody sends in Databricks is theirs: no flow run that is over ends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from blocks.databricks import DatabricksJob, RepairPolicy
from blocks.local.workspace.testing import RunningWorkspace
from flows.adopting import cancel_job_run
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from flows.repair_databricks_run import repair_databricks_run
from flows.sweep import sweep
from tests.flows.analyses import analyse, flow_run_id, job_failure, objects_of, retry
from tests.flows.processes import alive, attempts, reschedule, runs_of, start, state_of, wait_until

pytestmark = pytest.mark.slow


def test_it_outlives_the_hook_a_refused_repair_and_the_sweep(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(transform_data=120)
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom", times=2)
    state = analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=0))
    run_id = job_failure(state).state.run_id
    with get_client(sync_client=True) as client:
        analysis = client.read_flow_run(flow_run_id(state))
        parameters = {"run_id": run_id, "job": connections.databricks_job}
        repairing = client.create_flow_run(
            repair_databricks_run, parameters=parameters, state=Scheduled()
        ).id
    start(repairing, flow=repair_databricks_run).wait(300)
    assert state_of(repairing).is_failed()

    def still_alive() -> bool:
        (run,) = runs_of(faulty, connections)
        return alive(run, "transform_data")

    (run,) = runs_of(faulty, connections)
    body = {
        "run_id": run_id,
        "rerun_tasks": ["transform_data"],
        "latest_repair_id": run["repair_history"][-1]["id"],
        "job_parameters": {each["name"]: each["value"] for each in run["job_parameters"]},
    }
    with faulty.client() as workspace:
        workspace.post("/api/2.2/jobs/runs/repair", json=body).raise_for_status()
    wait_until(still_alive)

    cancel_job_run(renewable_analysis, analysis, state)
    assert still_alive()
    reschedule(repairing)
    start(repairing, flow=repair_databricks_run).wait(300)
    assert "still alive" in str(state_of(repairing).message)
    assert still_alive()
    sweep(connections=connections, grace_minutes=0)
    assert still_alive()
    assert objects_of(state, connections)
    with connections.load_databricks_job().attach(run_id) as job_run:
        job_run.cancel()


def test_what_a_retry_needs_stays_after_failures_of_every_kind(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    faulty.faults.add("expired_token", endpoint="POST jobs/runs/repair")
    refused = analyse(connections, tmp_path)
    assert "could not be repaired" in str(refused.message)
    kept = objects_of(refused, connections)
    assert {each.partition("/")[0] for each in kept} == {"country_subset", "joined_data"}

    # The next try does not even come to its job run.
    job: Any = DatabricksJob.load(connections.databricks_job)
    DatabricksJob.delete(connections.databricks_job)
    assert "Unable to find" in str(retry(refused).message)
    assert objects_of(refused, connections) == kept

    fields = {name: getattr(job, name) for name in DatabricksJob.model_fields}
    DatabricksJob(**fields).save(connections.databricks_job)
    assert retry(refused).name == "Repaired"
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [("join_data", 0), ("transform_data", 0), ("transform_data", 1)]


def test_a_run_that_was_started_but_could_not_be_read_is_ended_before_the_next(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    # Neither can it be cancelled at once.
    for endpoint in ("GET jobs/runs/get", "POST jobs/runs/cancel"):
        faulty.faults.add("expired_token", endpoint=endpoint)
    state = analyse(connections, tmp_path)
    assert state.is_failed()
    assert "was started, but cannot be read" in str(state.message)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
