"""The embedded stack as the flows see it: block documents on a real Prefect server."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import TaskRun
from prefect.events import Event
from prefect.events.filters import (
    EventAnyResourceFilter,
    EventFilter,
    EventNameFilter,
    EventOrder,
)
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_databricks import DatabricksCredentials

from blocks.databricks import DatabricksJob, NotebookTask
from blocks.local.stack import StackDetails, embedded_stack
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from blocks.registration import TASKS, Settings, register
from flows.connections import Connections
from tests.conftest import HOME

STACK = HOME / "stack"
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prefect_api(stack: StackDetails) -> Iterator[str]:
    """A real Prefect server for all flow runs; it joins the stack that runs already."""
    with embedded_stack(STACK) as details:
        assert details.prefect_api_url is not None
        with temporary_settings({PREFECT_API_URL: details.prefect_api_url}):
            yield details.prefect_api_url
            # Logs that are still queued have to leave before the server does.
            for handler in logging.getLogger("prefect.flow_runs").handlers:
                handler.flush()


@pytest.fixture(scope="session")
def connections(stack: StackDetails, prefect_api: str) -> Connections:
    """Block documents for the embedded stack, under their usual names."""
    environment = stack.environment()
    register(Settings.model_validate({name.lower(): environment[name] for name in environment}))
    return Connections()


@pytest.fixture
def failing(connections: Connections, tmp_path: Path) -> Callable[..., Connections]:
    """Make a job like the real one, some of whose notebooks fail a number of times first."""

    def make(**failures: int) -> Connections:
        job = connections.load_databricks_job()
        tasks = [_failing(task, failures.get(task.task_key, 0), tmp_path) for task in TASKS]
        return _job(job, tasks=tasks)

    return make


def _job(job: DatabricksJob, **changes: Any) -> Connections:
    """Save a job like another one, under a name that no other has."""
    name = f"job-{uuid4()}"
    # Not a copy: that would be saved over the document which it was loaded from.
    DatabricksJob(
        **{
            "databricks_credentials": job.databricks_credentials,
            "tasks": job.tasks,
            "parameters": job.parameters,
            "job_name": name,
            **changes,
        }
    ).save(name)
    return Connections(databricks_job=name)


@pytest.fixture(scope="session")
def faulty(
    stack: StackDetails, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorkspace]:
    """A workspace with the faults API, on the object store of the shared stack."""
    with on_the_stack(stack, tmp_path_factory.mktemp("workspace"), "--faults") as workspace:
        yield workspace


@contextmanager
def on_the_stack(stack: StackDetails, folder: Path, *options: str) -> Iterator[RunningWorkspace]:
    """Run a workspace of one's own on the object store of the shared stack."""
    before = dict(os.environ)
    environment = stack.environment()
    os.environ.update({name: environment[name] for name in environment if name[:4] == "AWS_"})
    try:
        with running_workspace(folder, *options) as workspace:
            yield workspace
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def on_faulty(
    faulty: RunningWorkspace, connections: Connections, tmp_path: Path
) -> Callable[..., Connections]:
    """Make a job on the faulty workspace, some of whose notebooks sleep first."""
    faulty.faults.clear()
    faulty.clear_journal()

    def make(**seconds: int) -> Connections:
        return job_on(faulty, connections, tmp_path, **seconds)

    return make


def job_on(
    workspace: RunningWorkspace, connections: Connections, folder: Path, **seconds: int
) -> Connections:
    """Save a job like the real one on another workspace, some of whose notebooks sleep first."""
    credentials = DatabricksCredentials(
        databricks_instance=workspace.host,
        token=workspace.token,
        client_kwargs={"verify": str(workspace.ca_file)},
    )
    tasks = [
        with_cell(task, ["import time", f"time.sleep({seconds[task.task_key]})"], folder)
        if task.task_key in seconds
        else task
        for task in TASKS
    ]
    job = connections.load_databricks_job()
    return _job(job, databricks_credentials=credentials, tasks=tasks)


def change_job(connections: Connections, **changes: Any) -> None:
    """Change the definition of a job that a test has made."""
    job = connections.load_databricks_job()
    job.model_copy(update=changes).save(connections.databricks_job, overwrite=True)


def _failing(task: NotebookTask, times: int, folder: Path) -> NotebookTask:
    """Return the task with a cell in front of its notebook that counts down in a file."""
    counter = folder / f"{task.task_key}.count"
    counter.write_text(str(times))
    lines = [
        "from pathlib import Path",
        f"counter = Path({str(counter)!r})",
        "left = int(counter.read_text())",
        "counter.write_text(str(left - 1))",
        "if left > 0:",
        "    raise RuntimeError(f'made to fail, {left} to go')",
    ]
    return with_cell(task, lines, folder)


def with_cell(task: NotebookTask, lines: list[str], folder: Path) -> NotebookTask:
    """Return the task with a cell in front of its notebook."""
    header, _, body = (PROJECT / task.notebook).read_text().partition("\n")
    cell = "\n".join([header, *lines, "", "# COMMAND ----------", ""])
    notebook = folder / Path(task.notebook).name
    notebook.write_text(cell + body)
    return task.model_copy(update={"notebook": str(notebook)})


@pytest.fixture(scope="session")
def workspace_client(stack: StackDetails) -> httpx.Client:
    """Speaks to the workspace as a person with a token would."""
    return httpx.Client(
        base_url=f"{stack.workspace_url}/api/",
        headers={"Authorization": f"Bearer {stack.workspace_token}"},
        verify=httpx.create_ssl_context(verify=stack.workspace_ca_file),
    )


@pytest.fixture(scope="session")
def databricks(workspace_client: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """Ask the workspace something."""

    def get(path: str) -> dict[str, Any]:
        answer: dict[str, Any] = workspace_client.get(path).raise_for_status().json()
        return answer

    return get


@pytest.fixture(scope="session")
def databricks_delete(workspace_client: httpx.Client) -> Callable[[int], None]:
    """Delete a job run for good."""

    def delete(run_id: int) -> None:
        body = {"run_id": run_id}
        workspace_client.post("2.2/jobs/runs/delete", json=body).raise_for_status()

    return delete


def task_runs(flow_run_id: UUID) -> list[TaskRun]:
    """Return the task runs of a flow run, in the order of their start, once all have ended.

    The server records them from events, a moment after they happen.
    """
    deadline = time.monotonic() + 20
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
            )
            if all(run.state and run.state.is_final() for run in found):
                return sorted(found, key=lambda run: str(run.start_time))
            assert time.monotonic() < deadline, [(run.name, run.state_name) for run in found]
            time.sleep(0.2)


def events(flow_run_id: UUID, prefix: str, count: int) -> list[Event]:
    """Return the events of a flow run, oldest first, once that many have arrived."""
    deadline = time.monotonic() + 20
    wanted = EventFilter(
        event=EventNameFilter(prefix=[prefix]),
        any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
        order=EventOrder.ASC,
    )
    with get_client(sync_client=True) as client:
        while True:
            found = client.request(
                "POST", "/events/filter", json={"filter": wanted.model_dump(mode="json")}
            ).json()["events"]
            if len(found) >= count:
                return [Event.model_validate(each) for each in found]
            assert time.monotonic() < deadline, [each["event"] for each in found]
            time.sleep(0.2)


def assert_logged(flow_run_id: UUID, text: str, seconds: float = 20) -> None:
    """Check that a flow run has said something in its log, which arrives a moment later."""
    deadline = time.monotonic() + seconds
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        while True:
            messages = [each.message for each in client.read_logs(wanted)]
            if any(text in message for message in messages):
                return
            assert time.monotonic() < deadline, messages
            time.sleep(0.2)
