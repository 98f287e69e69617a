"""Retrying a flow run repairs its job run, or starts afresh when nothing is left to repair."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pandas as pd
import pytest
from prefect.client.orchestration import get_client

from blocks.databricks import RepairPolicy
from blocks.local.stack import StackDetails
from flows.adopting import cancel_job_run
from flows.connections import Connections
from flows.object_storage import delete_folders
from flows.renewable_analysis import Analysis, renewable_analysis
from flows.sample import SAMPLE
from tests.flows.analyses import (
    analyse,
    as_years,
    expected,
    flow_run_id,
    job_failure,
    objects_of,
    retry,
)
from tests.flows.conftest import assert_logged, job_on, on_the_stack, task_runs


def test_a_retry_repairs_the_run_that_failed(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = failing(transform_data=2)
    first = analyse(connections, tmp_path)
    error = job_failure(first)

    second = retry(first)
    analysis = second.result()
    assert isinstance(analysis, Analysis)
    assert second.name == "Repaired"
    assert analysis.databricks.run_id == error.state.run_id
    assert analysis.databricks.repairs == 2
    attempts = Counter(attempt.task_key for attempt in analysis.databricks.attempts)
    assert attempts == {"join_data": 1, "transform_data": 3}
    assert as_years(pd.read_csv(analysis.data)) == expected("Norway", SAMPLE)
    assert objects_of(second, connections) == []

    names = Counter((t.name, t.state_name) for t in task_runs(flow_run_id(second)))
    assert names["load synthetic-hydro.csv", "Cached"] == 1
    assert names["export Hydro", "Cached"] == 1
    assert names["join_data", "Completed"] == 1
    assert names["transform_data", "Failed"] == 2
    assert names["transform_data", "Completed"] == 1


@pytest.mark.slow
def test_a_retry_starts_afresh_when_nothing_is_left_to_repair(
    failing: Callable[..., Connections],
    tmp_path: Path,
    databricks_delete: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="prefect.flow_runs")
    connections = failing(transform_data=2)
    first = analyse(connections, tmp_path)
    error = job_failure(first)
    bucket = connections.load_bucket()
    delete_folders(bucket, [key.rpartition("/")[0] for key in objects_of(first, connections)])
    databricks_delete(error.state.run_id)
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id(first))
    # Nothing is left to cancel, which is no error.
    cancel_job_run(renewable_analysis, flow_run, first)

    analysis = retry(first).result()
    assert isinstance(analysis, Analysis)
    assert analysis.databricks.run_id != error.state.run_id
    assert analysis.databricks.repairs == 0
    run_id = error.state.run_id
    assert_logged(
        flow_run_id(first),
        f"Databricks run {run_id} is gone, starting afresh: Run {run_id} does not exist.",
    )
    assert as_years(pd.read_csv(analysis.data)) == expected("Norway", SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("the job", "is gone, starting afresh"),
        ("one folder", "has lost its data, starting afresh"),
        ("one file", "has lost its data, starting afresh"),
    ],
)
def test_a_retry_starts_afresh_when_a_part_of_what_it_needs_is_lost(
    lost: str,
    reason: str,
    failing: Callable[..., Connections],
    tmp_path: Path,
    workspace_client: httpx.Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="prefect.flow_runs")
    connections = failing(transform_data=1)
    policy = RepairPolicy(max_repairs=0)
    first = analyse(connections, tmp_path, repair=policy)
    error = job_failure(first)
    if lost == "the job":
        body = {"job_id": error.state.job_id}
        workspace_client.post("2.2/jobs/delete", json=body).raise_for_status()
    elif lost == "one file":
        # As a clean-up leaves it that is killed in between.
        bucket = connections.load_bucket()
        name = objects_of(first, connections)[0]
        assert name.startswith("country_subset/")
        client = bucket.credentials.get_client("s3")
        client.delete_object(Bucket=bucket.bucket_name, Key=name)
    else:
        folders = {key.rpartition("/")[0] for key in objects_of(first, connections)}
        joined = [folder for folder in folders if folder.startswith("joined_data")]
        assert delete_folders(connections.load_bucket(), joined)

    analysis = retry(first).result()
    assert isinstance(analysis, Analysis)
    assert analysis.databricks.run_id != error.state.run_id
    assert_logged(flow_run_id(first), f"Databricks run {error.state.run_id} {reason}")
    assert as_years(pd.read_csv(analysis.data)) == expected("Norway", SAMPLE)


@pytest.mark.slow
def test_a_retry_starts_afresh_when_the_job_is_lost_and_its_run_is_still_shown(
    stack: StackDetails,
    connections: Connections,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="prefect.flow_runs")
    options = ("--faults", "--switch", "deleting_a_job_deletes_its_runs=false")
    with on_the_stack(stack, tmp_path / "workspace", *options) as workspace:
        mine = job_on(workspace, connections, tmp_path)
        workspace.faults.add("exception", task="transform_data", error="ValueError: boom")
        first = analyse(mine, tmp_path, repair=RepairPolicy(max_repairs=0))
        error = job_failure(first)
        with workspace.client() as client:
            body = {"job_id": error.state.job_id}
            client.post("/api/2.2/jobs/delete", json=body).raise_for_status()

        second = retry(first)
    assert second.name == "Completed"
    what = "belongs to a job that was deleted, starting afresh"
    assert_logged(flow_run_id(first), f"Databricks run {error.state.run_id} {what}")


@pytest.mark.slow
def test_an_edited_job_is_not_repaired_unless_that_is_asked_for(
    failing: Callable[..., Connections], tmp_path: Path, workspace_client: httpx.Client
) -> None:
    connections = failing(transform_data=2)
    first = analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=0))
    error = job_failure(first)
    change = {"job_id": error.state.job_id, "new_settings": {"timeout_seconds": 777}}
    workspace_client.post("2.2/jobs/update", json=change).raise_for_status()

    second = retry(first, repair=RepairPolicy())
    assert second.is_failed()
    refused = job_failure(second)
    assert "timeout_seconds: 0 is now 777" in str(refused)
    assert refused.state.repairs == 0
    assert objects_of(second, connections)

    third = retry(first, repair=RepairPolicy(use_changed_settings=True, max_repairs=2))
    assert third.name == "Repaired"
