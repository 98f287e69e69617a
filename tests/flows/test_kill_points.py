"""Killed while it makes the job ready, waits, cancels or cleans up: nothing is lost or doubled."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Crashed
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import text

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.naming import run_key
from flows.sweep import Swept, sweep
from flows.temporary_tables import run_tables
from tests.flows.analyses import objects_of, tables_of
from tests.flows.processes import (
    alive,
    attempts,
    create,
    kill,
    reschedule,
    runs_of,
    start,
    state_of,
    wait_until,
)
from tests.flows.test_restart import ONE_REPAIR, arrived, check_result, edit_job

pytestmark = pytest.mark.slow


def test_one_job_run_when_it_is_killed_again_and_again_while_it_makes_the_job_ready(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    job = connections.load_databricks_job()
    job_id = job.prepare().job_id
    edit_job(faulty, {"job_id": job_id}, timeout_seconds=777)
    with faulty.client() as client:
        body = {"path": job.workspace_folder, "recursive": True}
        client.post("/api/2.0/workspace/delete", json=body).raise_for_status()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = create(connections, tmp_path)
    for endpoint in ("POST workspace/import", "POST jobs/reset"):
        for number, when in enumerate(("before", "after"), 1):
            faulty.faults.add("delay", endpoint=endpoint, when=when, seconds=4)
            process = start(flow_run_id)
            wait_until(lambda at=endpoint, n=number: len(arrived(faulty, at)) == n)  # type: ignore[misc]
            kill(process)
            reschedule(flow_run_id)

    assert start(flow_run_id).wait(300) == 0
    assert state_of(flow_run_id).name == "Repaired"
    check_result(tmp_path)
    (run,) = runs_of(faulty, connections)
    assert run["job_id"] == job_id
    assert attempts(run) == ONE_REPAIR
    with faulty.client() as client:
        settings = client.get("/api/2.2/jobs/get", params={"job_id": job_id}).json()["settings"]
    assert settings["timeout_seconds"] == 0


def check_it_goes_on(
    flow_run_id: UUID, workspace: RunningWorkspace, connections: Connections, output: Path
) -> None:
    """Start a flow run again, and check that it ends well with one job run and one repair."""
    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    assert state_of(flow_run_id).name == "Repaired"
    check_result(output)
    (run,) = runs_of(workspace, connections)
    assert attempts(run) == ONE_REPAIR


def test_one_repair_when_it_is_killed_while_it_waits_before_it(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("cluster_lost", task="transform_data")
    flow_run_id = create(connections, tmp_path, {"infrastructure_delay_seconds": 12})
    first = start(flow_run_id)
    wait_until(lambda: bool(faulty.journal("GET jobs/runs/get-output")))
    time.sleep(1)
    kill(first)
    assert faulty.journal("POST jobs/runs/repair") == []

    check_it_goes_on(flow_run_id, faulty, connections, tmp_path)


def test_a_token_that_gives_back_a_failed_run_leads_to_its_repair(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    faulty.faults.add("delay", endpoint="POST jobs/run-now", when="after", seconds=60)
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id)
    wait_until(lambda: [each["end_time"] > 0 for each in runs_of(faulty, connections)] == [True])
    kill(first)
    assert faulty.journal("POST jobs/runs/repair") == []

    check_it_goes_on(flow_run_id, faulty, connections, tmp_path)


def test_a_cancel_that_is_cut_short_is_done_by_the_sweep(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run_id = create(connections, tmp_path)
    process = start(flow_run_id)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    faulty.faults.add("delay", endpoint="POST jobs/runs/cancel", seconds=30)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: bool(arrived(faulty, "POST jobs/runs/cancel")))
    kill(process)
    (run,) = runs_of(faulty, connections)
    assert alive(run, "join_data")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Crashed(), force=True)

    swept = sweep(connections=connections, grace_minutes=0, keep_failed_days=0)
    assert isinstance(swept, Swept)
    assert swept.cancelled == (run["run_id"],)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    assert objects_of(state_of(flow_run_id), connections) == []
    assert tables_of(state_of(flow_run_id), connections) == []


def test_what_a_killed_clean_up_leaves_is_swept_and_the_verdict_stays(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=5)
    flow_run_id = create(connections, tmp_path)
    process = start(flow_run_id)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    with SqlAlchemyConnector.load(connections.database) as connector:
        table, *_ = run_tables(connector)[run_key(flow_run_id)]
        waiting = text(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = :t ::regclass"
        )
        with connector.get_engine().begin() as lock:
            # As whoever looks at a table while it is to be dropped.
            lock.execute(text(f"LOCK TABLE {table} IN ACCESS SHARE MODE"))
            wait_until(lambda: bool(lock.scalar(waiting, {"t": table})))
            kill(process)
    ended = state_of(flow_run_id)
    assert ended.name == "Completed"
    assert tables_of(ended, connections)
    assert objects_of(ended, connections)

    sweep(connections=connections, grace_minutes=0)
    assert tables_of(ended, connections) == []
    assert objects_of(ended, connections) == []
    assert state_of(flow_run_id).id == ended.id
    check_result(tmp_path)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "SUCCESS"
