"""The embedded stack as the flows see it: block documents on a real Prefect server."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.events import Event
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOrder,
    EventRelatedFilter,
)
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.databricks import DatabricksJob, NotebookTask
from blocks.local.stack import StackDetails, embedded_stack
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
        name = f"failing-{uuid4()}"
        DatabricksJob(
            databricks_credentials=job.databricks_credentials,
            job_name=name,
            tasks=tasks,
            parameters=job.parameters,
        ).save(name, overwrite=True)
        return Connections(databricks_job=name)

    return make


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
    """Return what a flow run emitted, oldest first, once that many events have arrived."""
    deadline = time.monotonic() + 20
    wanted = EventFilter(
        event=EventNameFilter(prefix=[prefix]),
        related=EventRelatedFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
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
