"""Several processes that start the same job before it is there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import DatabricksJob, NotebookTask
from blocks.local.workspace.testing import RunningWorkspace

pytestmark = pytest.mark.slow

STARTERS = 10


@pytest.fixture
def job(workspace: RunningWorkspace, tmp_path: Path) -> DatabricksJob:
    """A job that nobody has saved yet."""
    notebook = tmp_path / "nothing.py"
    notebook.write_text("# Databricks notebook source\n")
    credentials = DatabricksCredentials(
        databricks_instance=workspace.host,
        token=workspace.token,
        client_kwargs={"verify": str(workspace.ca_file)},
    )
    return DatabricksJob(
        databricks_credentials=credentials,
        job_name="one",
        tasks=[NotebookTask(task_key="a", notebook=str(notebook))],
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_job_results_and_every_run_is_one_of_it(
    when: str, workspace: RunningWorkspace, job: DatabricksJob
) -> None:
    # Nobody's job is there, or nobody knows it, before all have looked.
    workspace.faults.add("delay", endpoint="POST jobs/create", when=when, seconds=1, times=STARTERS)
    together = Barrier(STARTERS)

    def start(_: int) -> int:
        together.wait()
        with job.trigger() as run:
            run.cancel()
            return run.state.job_id

    with ThreadPoolExecutor(STARTERS) as starters:
        used = set(starters.map(start, range(STARTERS)))
    with workspace.client() as client:
        saved = client.get("/api/2.2/jobs/list", params={"name": "one"}).json()["jobs"]
    assert {each["job_id"] for each in saved} == used
    assert len(used) == 1
    assert len(workspace.journal("POST jobs/create")) > 1
    assert len(workspace.journal("POST jobs/run-now")) == STARTERS
