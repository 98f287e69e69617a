"""A flow process that is killed anywhere and started again: one job run, the right result."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled
from prefect_databricks import DatabricksCredentials

from blocks.databricks import DatabricksJob
from blocks.local.stack import StackDetails
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from flows.sample import SAMPLE
from tests.flows.test_renewable_analysis import as_years, expected

pytestmark = pytest.mark.slow

# What a worker's process does: run the flow run that it was given.
CHILD = """
import sys
from uuid import UUID, uuid4
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from flows.renewable_analysis import renewable_analysis
with get_client(sync_client=True) as client:
    flow_run = client.read_flow_run(UUID(sys.argv[1]))
run_flow(renewable_analysis, flow_run=flow_run, parameters=flow_run.parameters)
"""


@pytest.fixture(scope="module")
def faulty(
    stack: StackDetails, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorkspace]:
    """A workspace with the faults API, on the object store of the shared stack."""
    before = dict(os.environ)
    environment = stack.environment()
    os.environ.update({name: environment[name] for name in environment if name[:4] == "AWS_"})
    try:
        with running_workspace(tmp_path_factory.mktemp("workspace"), "--faults") as workspace:
            yield workspace
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def on_faulty(faulty: RunningWorkspace, connections: Connections) -> Connections:
    """The usual connections, but for the workspace."""
    credentials = DatabricksCredentials(
        databricks_instance=faulty.host,
        token=faulty.token,
        client_kwargs={"verify": str(faulty.ca_file)},
    )
    job = connections.load_databricks_job()
    # Not a copy: that would be saved over the document which it was loaded from.
    DatabricksJob(
        databricks_credentials=credentials,
        job_name=f"renewables {uuid4()}",
        tasks=job.tasks,
        parameters=job.parameters,
    ).save("faulty", overwrite=True)
    faulty.faults.clear()
    faulty.clear_journal()
    return Connections(databricks_job="faulty")


def run_in_process(flow_run_id: UUID) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    return subprocess.Popen([sys.executable, "-c", CHILD, str(flow_run_id)], env=environment)


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
    on_faulty: Connections,
    tmp_path: Path,
) -> None:
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    # The answer, or the effect, is held back for long enough to be killed in between.
    faulty.faults.add("delay", endpoint=endpoint, when=when, seconds=4, times=nth)
    parameters = {
        "country": "Norway",
        "connections": on_faulty.model_dump(),
        "output": str(tmp_path),
    }
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(
            renewable_analysis, parameters=parameters, state=Scheduled()
        )

    first = run_in_process(flow_run.id)
    deadline = time.monotonic() + 60
    while len(arrived(faulty, endpoint)) < nth:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    first.kill()
    first.wait()

    # What a worker does about a process that was killed, and a person with the button.
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Scheduled(name="AwaitingRetry"), force=True)
    assert run_in_process(flow_run.id).wait(90) == 0

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run.id).state
    assert state is not None
    assert state.is_completed(), state
    answer = pd.read_csv(tmp_path / "norway.csv", float_precision="round_trip")
    assert as_years(answer) == expected("Norway", SAMPLE)

    with faulty.client() as client:
        runs = client.get("/api/2.2/jobs/runs/list", params={"limit": 25}).json()["runs"]
        since = faulty.journal()[0].time
        mine = [run for run in runs if run["start_time"] >= since]
        (run,) = mine
        query = {"run_id": run["run_id"], "include_history": "true"}
        whole = client.get("/api/2.2/jobs/runs/get", params=query).json()
    attempts = sorted((task["task_key"], task["attempt_number"]) for task in whole["tasks"])
    assert attempts == [("join_data", 0), ("transform_data", 0), ("transform_data", 1)]


def arrived(workspace: RunningWorkspace, endpoint: str) -> list[object]:
    """The requests that were held back so far."""
    return [
        fault
        for fault in workspace.faults.armed()
        if fault.get("endpoint") == endpoint
        for _ in range(int(fault["struck"]))
    ]
