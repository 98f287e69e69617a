"""A flow process that is killed anywhere and started again: one job run, the right result."""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Scheduled
from prefect_aws.s3 import S3Bucket

from blocks.local.workspace.testing import RunningWorkspace
from flows.adopting import cancel_job_run
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from flows.repair_databricks_run import repair_databricks_run
from flows.sample import SAMPLE
from tests.flows.analyses import as_years, expected
from tests.flows.conftest import PROJECT, task_runs
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

pytestmark = pytest.mark.slow

ONE_REPAIR = [("join_data", 0), ("transform_data", 0), ("transform_data", 1)]


def check_result(output: Path) -> None:
    answer = pd.read_csv(output / "norway.csv", float_precision="round_trip")
    assert as_years(answer) == expected("Norway", SAMPLE)


@pytest.mark.parametrize(
    ("endpoint", "nth"),
    [
        ("POST jobs/create", 1),
        ("POST jobs/run-now", 1),
        ("GET jobs/runs/get", 2),
        ("POST jobs/runs/repair", 1),
        ("GET jobs/runs/get-output", 2),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_one_job_run_whenever_it_is_killed(
    endpoint: str,
    nth: int,
    when: str,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    # The answer, or the effect, is held back for long enough to be killed in between.
    faulty.faults.add("delay", endpoint=endpoint, when=when, seconds=4, times=nth)
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id)
    wait_until(lambda: len(arrived(faulty, endpoint)) >= nth)
    assert first.poll() is None
    time.sleep(0.5)
    kill(first)
    if endpoint == "POST jobs/create":
        # It has no token: one that takes effect after the next process has looked for the job is
        # a second job, whatever a client does.
        wait_until(lambda: bool(faulty.journal(endpoint)))

    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0

    assert state_of(flow_run_id).name == "Repaired"
    check_result(tmp_path)
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == ONE_REPAIR
    # Nothing is shown as running any more, not even what the killed process left open.
    names = Counter(each.name for each in task_runs(flow_run_id))
    assert names["join_data"] >= 1
    assert names["transform_data"] >= 2


def arrived(workspace: RunningWorkspace, endpoint: str) -> list[object]:
    """The requests that were held back so far."""
    return [
        fault
        for fault in workspace.faults.armed()
        if fault.get("endpoint") == endpoint
        for _ in range(int(fault["struck"]))
    ]


@pytest.mark.parametrize(
    ("step", "when"), [("load_result", "before"), ("load_result", "after"), ("plot_share", "after")]
)
def test_one_job_run_when_it_is_killed_around_the_result(
    step: str,
    when: str,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty()
    marker = tmp_path / "marker"
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id, step, when, str(marker))
    wait_until(marker.exists)
    kill(first)

    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    check_result(tmp_path)
    assert state_of(flow_run_id).is_completed()
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [("join_data", 0), ("transform_data", 0)]


def start_and_kill_before_the_run_is_known(
    faulty: RunningWorkspace, connections: Connections, output: Path
) -> UUID:
    """Leave a flow run behind whose job run has been started, and which does not know its id."""
    faulty.faults.add("delay", endpoint="POST jobs/run-now", when="after", seconds=60)
    flow_run_id = create(connections, output)
    first = start(flow_run_id)
    wait_until(lambda: bool(runs_of(faulty, connections)))
    kill(first)
    faulty.faults.clear()
    return flow_run_id


def test_a_job_that_is_edited_before_its_run_is_known_keeps_that_run(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=20)
    flow_run_id = start_and_kill_before_the_run_is_known(faulty, connections, tmp_path)
    (run,) = runs_of(faulty, connections)
    edit_job(faulty, run, timeout_seconds=777)

    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    check_result(tmp_path)
    (same,) = runs_of(faulty, connections)
    assert same["run_id"] == run["run_id"]
    assert faulty.journal("POST jobs/reset") == []


def test_an_edit_before_its_run_is_known_is_not_taken_for_what_the_run_was_started_with(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    faulty.faults.add("delay", endpoint="POST jobs/run-now", when="after", seconds=60)
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id)
    wait_until(lambda: [each["end_time"] > 0 for each in runs_of(faulty, connections)] == [True])
    kill(first)
    edit_job(faulty, runs_of(faulty, connections)[0], timeout_seconds=777)

    reschedule(flow_run_id)
    start(flow_run_id).wait(300)
    assert state_of(flow_run_id).is_failed()
    assert "timeout_seconds: 0 is now 777" in str(state_of(flow_run_id).message)
    assert faulty.journal("POST jobs/runs/repair") == []


@pytest.mark.parametrize("gone", ["run", "job"])
def test_what_was_started_and_is_gone_before_it_is_known_is_started_afresh(
    gone: str, faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    flow_run_id = start_and_kill_before_the_run_is_known(faulty, connections, tmp_path)
    (run,) = runs_of(faulty, connections)
    with faulty.client() as client:
        client.post("/api/2.2/jobs/runs/cancel", json={"run_id": run["run_id"]})
        wait_until(lambda: runs_of(faulty, connections)[0]["end_time"] > 0)
        path = "/api/2.2/jobs/runs/delete" if gone == "run" else "/api/2.2/jobs/delete"
        client.post(path, json={f"{gone}_id": run[f"{gone}_id"]}).raise_for_status()

    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    check_result(tmp_path)
    (afresh,) = runs_of(faulty, connections)
    assert afresh["run_id"] != run["run_id"]


def test_a_run_that_is_not_known_is_cancelled_with_its_flow_run(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run_id = start_and_kill_before_the_run_is_known(faulty, connections, tmp_path)
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
    # What the worker does when the flow run is cancelled.
    cancel_job_run(renewable_analysis, flow_run, Cancelled())
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"


def edit_job(workspace: RunningWorkspace, run: dict[str, Any], **settings: Any) -> None:
    body = {"job_id": run["job_id"], "new_settings": settings}
    with workspace.client() as client:
        client.post("/api/2.2/jobs/update", json=body).raise_for_status()


def test_a_restart_grants_nothing_and_a_retry_by_a_person_does(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom", times=2)
    faulty.faults.add("delay", endpoint="POST jobs/runs/repair", when="after", seconds=20)
    flow_run_id = create(connections, tmp_path, repair={"max_repairs": 1})
    first = start(flow_run_id)
    wait_until(lambda: bool(arrived(faulty, "POST jobs/runs/repair")))
    wait_until(lambda: len(attempts(runs_of(faulty, connections)[0])) == len(ONE_REPAIR))
    kill(first)

    reschedule(flow_run_id)
    start(flow_run_id).wait(300)
    failed = state_of(flow_run_id)
    assert failed.is_failed()
    assert "1 repair did not help, and max_repairs allows no more" in str(failed.message)
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == ONE_REPAIR

    entrypoint = "flows/renewable_analysis.py:renewable_analysis"
    command = [PREFECT, "flow-run", "retry", str(flow_run_id), "--entrypoint", entrypoint]
    subprocess.run(command, check=True, timeout=300, cwd=PROJECT, env=environment())
    assert state_of(flow_run_id).name == "Repaired"
    check_result(tmp_path)
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [*ONE_REPAIR, ("transform_data", 2)]


def test_two_processes_of_one_flow_run_share_one_job_run(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run_id = create(connections, tmp_path)
    both = [start(flow_run_id) for _ in range(2)]
    ends = [process.wait(300) for process in both]
    assert 0 in ends
    check_result(tmp_path)
    (run,) = runs_of(faulty, connections)
    assert attempts(run) == ONE_REPAIR
    assert run["state"]["result_state"] == "SUCCESS"


def test_one_that_is_stopped_while_it_starts_the_job_run_waits_for_its_end(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("delay", endpoint="POST jobs/run-now", when="after", seconds=4)
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id)
    wait_until(lambda: bool(arrived(faulty, "POST jobs/run-now")))
    first.send_signal(signal.SIGTERM)
    first.wait(300)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    cancel = faulty.journal("POST jobs/runs/cancel")[-1]
    assert [each for each in faulty.journal("GET jobs/runs/get") if each.time >= cancel.time]

    reschedule(flow_run_id)
    assert start(flow_run_id).wait(300) == 0
    check_result(tmp_path)
    afresh, cancelled = runs_of(faulty, connections)
    assert afresh["state"]["result_state"] == "SUCCESS"
    assert cancelled["run_id"] == run["run_id"]


def test_one_that_fails_before_it_goes_on_leaves_nothing_alive(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    bucket = connections.load_bucket()
    mine = S3Bucket(bucket_name=bucket.bucket_name, credentials=bucket.credentials)
    mine.save(connections.databricks_job)
    connections = connections.model_copy(update={"bucket": connections.databricks_job})
    flow_run_id = create(connections, tmp_path)
    first = start(flow_run_id)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    kill(first)

    S3Bucket.delete(connections.bucket)
    reschedule(flow_run_id)
    start(flow_run_id).wait(300)
    assert state_of(flow_run_id).is_failed()
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"


def test_a_persons_repair_is_sent_once_and_its_retry_once_more(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom", times=3)
    failed = create(connections, tmp_path, repair={"max_repairs": 0})
    start(failed).wait(300)
    (run,) = runs_of(faulty, connections)
    parameters = {"run_id": run["run_id"], "job": connections.databricks_job}
    with get_client(sync_client=True) as client:
        flow_run_id = client.create_flow_run(
            repair_databricks_run, parameters=parameters, state=Scheduled()
        ).id
    faulty.faults.add("delay", endpoint="POST jobs/runs/repair", when="after", seconds=20)
    first = start(flow_run_id, flow=repair_databricks_run)
    wait_until(lambda: bool(arrived(faulty, "POST jobs/runs/repair")))
    wait_until(lambda: len(attempts(runs_of(faulty, connections)[0])) == len(ONE_REPAIR))
    kill(first)

    for tries in (2, 3, 4):
        reschedule(flow_run_id)
        start(flow_run_id, flow=repair_databricks_run).wait(300)
        (run,) = runs_of(faulty, connections)
        # The first of them only finds out what became of the repair that was sent.
        assert len(attempts(run)) == 1 + tries
        assert state_of(flow_run_id).is_failed() is (tries < 4)
    assert state_of(flow_run_id).message == "Run again: transform_data"
