"""A deployment through a real worker: retried by a person, killed, asked, one job run each time."""

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.flow_runs import resume_flow_run

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis
from tests.flows.conftest import PROJECT, task_runs
from tests.flows.processes import (
    PREFECT,
    alive,
    attempts,
    environment,
    parameters_for,
    runs_of,
    state_of,
    wait_until,
)

pytestmark = pytest.mark.slow

SET_DIRECTORY = "prefect.deployments.steps.set_working_directory"


@pytest.fixture
def deployment(prefect_api: str) -> Iterator[UUID]:
    """The flow, deployed, and a process worker that runs it."""
    pool = f"pool-{uuid4()}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        deployment = client.create_deployment(
            client.create_flow(renewable_analysis),
            f"of a worker {uuid4()}",
            work_pool_name=pool,
            # As `prefect deploy` records it.
            pull_steps=[{SET_DIRECTORY: {"directory": str(PROJECT)}}],
            entrypoint="flows/renewable_analysis.py:renewable_analysis",
        )
    command = [PREFECT, "worker", "start", "--pool", pool]
    polling = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    worker = subprocess.Popen(command, env=environment() | polling, cwd=PROJECT)
    try:
        yield deployment
    finally:
        # A worker that has cancelled or lost a flow run may wait for it for ever.
        worker.kill()
        worker.wait()


def submit(deployment: UUID, connections: Connections, output: Path, **repair: object) -> UUID:
    parameters = parameters_for(connections, output, repair)
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment, parameters=parameters).id


def retry(flow_run_id: UUID, *, check: bool = True) -> None:
    command = [PREFECT, "flow-run", "retry", str(flow_run_id)]
    subprocess.run(command, check=check, timeout=300, env=environment())


def process_of(flow_run_id: UUID) -> int:
    """Return the process that runs a flow run, by what the worker tells it."""
    found: list[int] = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end meanwhile
            told = process.environ().get("PREFECT__FLOW_RUN_ID") == str(flow_run_id)
            if told and "flows.watchdog" not in process.cmdline():
                found.append(process.pid)
    return max(found)


def test_a_worker_repairs_on_retry_and_goes_on_after_a_crash(
    deployment: UUID,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=10)
    # The notebook fails in its first try and after the answer.
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom", times=2)
    flow_run = submit(deployment, connections, tmp_path, max_repairs=0, when_exhausted="ask")

    # The process is killed while Databricks works; the worker says so.
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    os.kill(process_of(flow_run), signal.SIGKILL)
    wait_until(lambda: state_of(flow_run).is_crashed())
    retry(flow_run)
    wait_for(flow_run, "Suspended")
    (run,) = runs_of(faulty, connections)
    assert len(attempts(run)) == 2

    # A person lets it run once more, then decides against a repair, then retries after all.
    resume_flow_run(flow_run, run_input={"tasks": ["transform_data"]})
    wait_for(flow_run, "Suspended")
    (run,) = runs_of(faulty, connections)
    assert len(attempts(run)) == 3
    resume_flow_run(flow_run, run_input={"tasks": []})
    wait_for(flow_run, "Failed")
    assert "a person decided against it" in str(state_of(flow_run).message)
    retry(flow_run)
    wait_for(flow_run, "Suspended")
    resume_flow_run(flow_run, run_input={"tasks": ["transform_data"], "note": "third time"})
    wait_for(flow_run, "Repaired")

    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [("join_data", 0), *(("transform_data", n) for n in range(3))]
    assert (tmp_path / "norway.png").is_file()
    names = Counter((each.name, each.state_name) for each in task_runs(flow_run))
    assert names["load synthetic-hydro.csv", "Completed"] == 1
    assert names["export Hydro", "Completed"] == 1
    # Every attempt is shown once as what it came to, also those that nobody watched.
    assert names["transform_data", "Failed"] == 2
    assert names["transform_data", "Completed"] == 1
    # A worker that tells of the crash once more, when the flow run has been retried already, makes
    # for another process beside the one that goes on; each shows what it sees.
    with get_client(sync_client=True) as client:
        crashes = sum(each.is_crashed() for each in client.read_flow_run_states(flow_run))
    assert 1 <= names["join_data", "Completed"] <= crashes


def wait_for(flow_run_id: UUID, name: str) -> None:
    """Wait for a state, and retry the flow run when it crashes.

    A worker tells of a process that was killed when it has cleaned up after it, which may be when
    the flow run has been retried already.
    """

    def there() -> bool:
        state = state_of(flow_run_id)
        if state.is_crashed():
            # Refused when the worker has taken it up again meanwhile.
            retry(flow_run_id, check=False)
        return state.name == name

    wait_until(there, seconds=600)
