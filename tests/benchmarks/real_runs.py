"""Short runs in real time, awaited by this project and by what others use, on one workspace.

The workspace's journal tells how many requests each run took, and when it was looked at: the lag of
a task is the time from its end to the first ``runs/get`` after that.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from databricks.sdk import WorkspaceClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness
from prefect_databricks import DatabricksCredentials
from prefect_databricks.flows import jobs_runs_submit_by_id_and_wait_for_completion

from blocks.databricks import DatabricksJob, NotebookTask, RepairPolicy
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from flows.databricks import run_job

ROUNDS = 3
NOTEBOOK = """# Databricks notebook source
import random, time
# Runs differ; with its start-up, the longest takes about as long as the job's length.
time.sleep({seconds} * random.uniform(0.75, 0.95))
dbutils.notebook.exit("slept")
"""
# Parts of a job's length, which its notebooks sleep for, one after the other.
SHARES = {"join_data": 0.7, "transform_data": 0.3}


@dataclass(frozen=True)
class Measured:
    """What it takes to wait for runs of one job.

    Attributes:
        length: Of the longest run, in seconds, with its start-up.
        contender: Who waited.
        requests: To Databricks, for one run, from its start to its outputs (median).
        prefect_task_runs: For one run (median).
        lags: Seconds from the end of each task until it was looked for.
    """

    length: float
    contender: str
    requests: float
    prefect_task_runs: float
    lags: tuple[float, ...]


def compare(lengths: Sequence[float]) -> Iterator[Measured]:
    """Let each contender wait for runs of each length in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(prefect_test_harness(server_startup_timeout=120))
        workspace = stack.enter_context(running_workspace(folder / "workspace", "--faults"))
        stack.enter_context(_trusting(workspace))
        for length in lengths:
            contenders = _contenders(workspace, _notebooks(folder, length))
            for name, wait in contenders.items():
                yield _measured(workspace, length, name, wait)


@flow(name="one-job")
def one_job(job: DatabricksJob) -> None:
    """Run a job as the flow renewable-analysis does."""
    run_job(job, {}, RepairPolicy(), after=(), usable=lambda state: True)


def _contenders(
    workspace: RunningWorkspace, tasks: list[NotebookTask]
) -> dict[str, Callable[[], object]]:
    """Return who waits, and how it starts a run and waits for it.

    The runs of the other contenders are the history of those that this project knows.
    """
    credentials = DatabricksCredentials(
        databricks_instance=workspace.host,
        token=workspace.token,
        client_kwargs={"verify": str(workspace.ca_file), "timeout": 30},
    )

    def job(name: str) -> DatabricksJob:
        return DatabricksJob(databricks_credentials=credentials, job_name=name, tasks=tasks)

    saved = job(f"job {uuid4()}")
    with saved.trigger() as first:
        first.wait_for_completion()
    job_id = first.state.job_id
    sdk = WorkspaceClient(host=workspace.url, token=workspace.token)
    return {
        "prefect-databricks": lambda: asyncio.run(
            jobs_runs_submit_by_id_and_wait_for_completion(credentials, job_id)
        ),
        "databricks-sdk": lambda: sdk.jobs.run_now(job_id).result(),
        "this, a new job": lambda: one_job(job(f"job {uuid4()}")),
        "this, a known job": lambda: one_job(saved),
    }


def _measured(
    workspace: RunningWorkspace, length: float, contender: str, wait: Callable[[], object]
) -> Measured:
    requests, task_runs, lags = [], [], []
    for _ in range(ROUNDS):
        workspace.clear_journal()
        before = _prefect_task_runs()
        wait()
        task_runs.append(_prefect_task_runs() - before)
        journal = workspace.journal()
        requests.append(len(journal))
        looks = [each.time for each in journal if each.path.endswith("/runs/get")]
        with workspace.client() as client:
            query = "limit=1&expand_tasks=true"
            run = client.get(f"/api/2.2/jobs/runs/list?{query}").json()["runs"][0]
        ends = [task["end_time"] for task in run["tasks"]]
        lags += [(min(look for look in looks if look >= end) - end) / 1000 for end in ends]
    return Measured(length, contender, median(requests), median(task_runs), tuple(lags))


def _prefect_task_runs() -> int:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/task_runs/count", json={})
    return int(answer.raise_for_status().json())


def _notebooks(folder: Path, length: float) -> list[NotebookTask]:
    """Write a notebook for each part of a job."""
    tasks: list[NotebookTask] = []
    for key, share in SHARES.items():
        notebook = folder / f"{key}-{length}.py"
        notebook.write_text(NOTEBOOK.format(seconds=length * share))
        before = [task.task_key for task in tasks]
        tasks.append(NotebookTask(task_key=key, notebook=str(notebook), depends_on=before))
    return tasks


@contextmanager
def _trusting(workspace: RunningWorkspace) -> Iterator[None]:
    """Let databricks-sdk accept the workspace's certificate."""
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    os.environ["REQUESTS_CA_BUNDLE"] = str(workspace.ca_file)
    try:
        yield
    finally:
        if before is None:
            del os.environ["REQUESTS_CA_BUNDLE"]
        else:
            os.environ["REQUESTS_CA_BUNDLE"] = before
