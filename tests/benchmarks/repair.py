"""What a repair costs on Databricks, next to running the job again.

Run it with ``python -m tests.benchmarks.repair``; it takes about two minutes. The local workspace
runs a job of two notebooks for real, `join_data` and then `transform_data`, which fails once. Each
cluster takes a while to start, as in the cloud.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from uuid import uuid4

from prefect_databricks import DatabricksCredentials

from blocks.databricks import (
    DatabricksJob,
    DatabricksRun,
    NotebookTask,
    RepairPlan,
    RepairPolicy,
    RunState,
    make_receipt,
    plan_repair,
)
from blocks.local.workspace.testing import RunningWorkspace, running_workspace

CLUSTER_START = "10"
SECONDS = {"join_data": 20, "transform_data": 5}


def job(workspace: RunningWorkspace, folder: Path) -> DatabricksJob:
    """Make the job; its last notebook fails the first time."""
    fails = folder / f"fails-{uuid4()}"
    fails.touch()
    cell = f"import os, time\ntime.sleep({{}})\nif os.path.exists({str(fails)!r}):\n"
    fail = f"    os.remove({str(fails)!r})\n    raise RuntimeError('once')\n"
    bodies = {"join_data": "import time\ntime.sleep({})\n", "transform_data": cell + fail}
    for key, body in bodies.items():
        source = f"# Databricks notebook source\n{body.format(SECONDS[key])}"
        (folder / f"{key}.py").write_text(source)
    credentials = DatabricksCredentials(
        databricks_instance=workspace.host,
        token=workspace.token,
        client_kwargs={"verify": str(workspace.ca_file)},
    )
    first, second = SECONDS
    return DatabricksJob(
        databricks_credentials=credentials,
        job_name=str(uuid4()),
        tasks=[
            NotebookTask(task_key=first, notebook=str(folder / f"{first}.py")),
            NotebookTask(
                task_key=second, notebook=str(folder / f"{second}.py"), depends_on=[first]
            ),
        ],
    )


def cluster_seconds(state: RunState) -> float:
    """Return how long the clusters of a run were up: one for the run, and one for each repair."""
    receipt = make_receipt(state)
    return sum(each.elapsed_seconds for each in (receipt.original, *receipt.repairs))


def repair(run: DatabricksRun) -> None:
    """Repair what failed."""
    plan = plan_repair(run.state, RepairPolicy())
    assert isinstance(plan, RepairPlan)
    run.repair(plan.task_keys, plan.latest_repair_id)
    run.wait_for_completion()


def main() -> None:
    """Print Databricks task runs and cluster seconds of both ways."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    options = ("--cluster-start-seconds", CLUSTER_START)
    with (
        tempfile.TemporaryDirectory() as name,
        running_workspace(Path(name) / "state", *options) as workspace,
    ):
        with job(workspace, Path(name)).trigger() as run:
            run.wait_for_completion()
            repair(run)
            show("repaired", [run.state])
        made = job(workspace, Path(name))
        states = []
        for _ in range(2):
            with made.trigger() as run:
                run.wait_for_completion()
                states.append(run.state)
        show("run again", states)


def show(way: str, states: list[RunState]) -> None:
    """Print one line."""
    attempts = sum(len(state.attempts) for state in states)
    seconds = sum(cluster_seconds(state) for state in states)
    outcome = states[-1].outcome
    print(f"{way:10} {attempts} task runs, {seconds:5.1f} s of clusters, {outcome}")


if __name__ == "__main__":
    main()
