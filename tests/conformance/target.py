"""What the conformance suite speaks to, and the notebooks that it brings along."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import uuid4

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import NotebookTask, Run, RunLifeCycleState, SubmitTask, Task
from databricks.sdk.service.workspace import ImportFormat, Language

STEADY = """# Databricks notebook source
dbutils.notebook.exit("steady")
"""
# Does what its widget says: "fail", "wait", or anything else, which it gives back.
MOODY = """# Databricks notebook source
dbutils.widgets.text("mood", "good")
mood = dbutils.widgets.get("mood")

# COMMAND ----------

import time

if mood == "wait":
    time.sleep(900)
if mood == "fail":
    raise ValueError("made to fail")

# COMMAND ----------

dbutils.notebook.exit(mood)
"""
TERMINAL = {
    RunLifeCycleState.TERMINATED,
    RunLifeCycleState.SKIPPED,
    RunLifeCycleState.INTERNAL_ERROR,
}
_SECONDS = 1200


@dataclass(frozen=True)
class Target:
    """A workspace, local or in the cloud, with a folder and a name that nobody else uses.

    Attributes:
        client: Client of the workspace.
        host: ``name[:port]``, without a scheme.
        token: Bearer token.
        ca_file: Certificate authority to trust; None for the usual ones.
        cluster_id: Cluster for all tasks; None for serverless compute.
        name: For jobs and secret scopes.
        folder: Workspace folder, with the notebooks ``steady`` and ``moody``.
    """

    client: WorkspaceClient
    host: str
    token: str
    ca_file: str | None
    cluster_id: str | None
    name: str
    folder: str

    def notebook(self, name: str) -> NotebookTask:
        return NotebookTask(notebook_path=f"{self.folder}/{name}")

    def task(self, key: str, notebook: str = "steady", **settings: Any) -> Task:
        """Return a task of a saved job."""
        return Task(
            task_key=key,
            notebook_task=self.notebook(notebook),
            existing_cluster_id=self.cluster_id,
            **settings,
        )

    def submit_task(self, key: str, notebook: str = "steady", **settings: Any) -> SubmitTask:
        """Return a task of a one-time run."""
        return SubmitTask(
            task_key=key,
            notebook_task=self.notebook(notebook),
            existing_cluster_id=self.cluster_id,
            **settings,
        )

    def plain_task(self, key: str, notebook: str = "steady", **settings: Any) -> dict[str, Any]:
        """Return a task as plain JSON, for clients without types."""
        return {**self.task(key, notebook).as_dict(), **settings}

    def until(self, run_id: int, condition: Callable[[Run], bool]) -> Run:
        """Return a run as soon as it is as it should be."""
        deadline = time.monotonic() + _SECONDS
        while not condition(run := self.client.jobs.get_run(run_id, include_history=True)):
            assert time.monotonic() < deadline, run.as_dict()
            time.sleep(0.2)
        return run

    def ended(self, run_id: int) -> Run:
        """Return a run once it has ended, well or not."""
        return self.until(run_id, lambda run: state(run).life_cycle_state in TERMINAL)


def state(run: Any) -> Any:
    """Return the state of a run or task run; every one has it (§3.4)."""
    assert run.state is not None
    return run.state


@contextmanager
def prepared(
    client: WorkspaceClient, host: str, token: str, ca_file: str | None, cluster_id: str | None
) -> Iterator[Target]:
    """Put the notebooks into a workspace, and in the end remove all that bears the name."""
    name = f"conformance-{uuid4().hex[:12]}"
    folder = f"/Users/{client.current_user.me().user_name}/{name}"
    with ExitStack() as stack:
        client.workspace.mkdirs(folder)
        stack.callback(client.workspace.delete, folder, recursive=True)
        for notebook, source in (("steady", STEADY), ("moody", MOODY)):
            client.workspace.upload(
                f"{folder}/{notebook}",
                BytesIO(source.encode()),
                format=ImportFormat.SOURCE,
                language=Language.PYTHON,
            )
        stack.callback(_remove_jobs, client, name)
        yield Target(client, host, token, ca_file, cluster_id, name, folder)


def _remove_jobs(client: WorkspaceClient, name: str) -> None:
    for job in list(client.jobs.list(name=name)):
        assert job.job_id is not None
        client.jobs.delete(job.job_id)
