"""Flow runs in processes of their own, which can be killed, and the workspace that they see."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.renewable_analysis import renewable_analysis

PREFECT = str(Path(sys.executable).with_name("prefect"))
# What a worker's process does: run the flow run that it was given. The other arguments stop it
# before or after a step of the pipeline, for long enough to be killed there.
CHILD = """
import sys, time
from functools import wraps
from pathlib import Path
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
import flows.renewable_analysis as pipeline
from flows.repair_databricks_run import repair_databricks_run

def hold(step, when, marker):
    do = getattr(pipeline, step).fn
    @wraps(do)
    def held(*args, **options):
        if when == "after":
            do(*args, **options)
        Path(marker).touch()
        time.sleep(600)
    getattr(pipeline, step).fn = held

name, flow_run_id, *stop = sys.argv[1:]
if stop:
    hold(*stop)
flow = {each.name: each for each in (pipeline.renewable_analysis, repair_databricks_run)}[name]
with get_client(sync_client=True) as client:
    flow_run = client.read_flow_run(UUID(flow_run_id))
run_flow(flow, flow_run=flow_run, parameters=flow_run.parameters)
"""


def create(connections: Connections, output: Path, repair: dict[str, Any] | None = None) -> UUID:
    """Create a flow run of ``renewable-analysis`` for Norway."""
    parameters = parameters_for(connections, output, repair)
    with get_client(sync_client=True) as client:
        return client.create_flow_run(
            renewable_analysis, parameters=parameters, state=Scheduled()
        ).id


def parameters_for(
    connections: Connections, output: Path, repair: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "country": "Norway",
        "connections": connections.model_dump(),
        "repair": repair or {},
        "output": str(output),
    }


def start(
    flow_run_id: UUID,
    *stop: str,
    flow: Flow[..., Any] = renewable_analysis,
    api: str | None = None,
) -> subprocess.Popen[bytes]:
    """Run a flow run in a new process.

    Args:
        flow_run_id: The flow run.
        *stop: Name of a step of the pipeline, ``before`` or ``after``, and the path of a file that
            is made when the process has come there.
        flow: Its flow.
        api: Where the Prefect API is.
    """
    command = [sys.executable, "-c", CHILD, flow.name, str(flow_run_id), *stop]
    return subprocess.Popen(command, env=environment(api))


def environment(api: str | None = None) -> dict[str, str]:
    """Return the environment of a process that uses the same Prefect API as the tests."""
    return os.environ | {"PREFECT_API_URL": api or str(PREFECT_API_URL.value())}


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process as the kernel does when memory is short."""
    process.kill()
    process.wait()


def reschedule(flow_run_id: UUID) -> None:
    """Do what a worker does about a process that was killed, and a person with the button."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Scheduled(name="AwaitingRetry"), force=True)


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def state_of(flow_run_id: UUID) -> State[Any]:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run_id).state
    assert state is not None
    return state


def runs_of(workspace: RunningWorkspace, connections: Connections) -> list[dict[str, Any]]:
    """Return the job runs of a job, the newest first, whole and with their repair history."""
    name = connections.load_databricks_job().job_name
    with workspace.client() as client:
        jobs = client.get("/api/2.2/jobs/list", params={"name": name}).json().get("jobs", [])
        assert len(jobs) <= 1
        runs = [
            run
            for job in jobs
            for run in client.get("/api/2.2/jobs/runs/list", params={"job_id": job["job_id"]})
            .json()
            .get("runs", [])
        ]
        return [
            client.get(
                "/api/2.2/jobs/runs/get",
                params={"run_id": run["run_id"], "include_history": "true"},
            ).json()
            for run in runs
        ]


def alive(run: dict[str, Any], task_key: str) -> bool:
    """Say whether a task of a run is running now."""
    return any(
        task["task_key"] == task_key and task["state"]["life_cycle_state"] == "RUNNING"
        for task in run["tasks"]
    )


def attempts(run: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((task["task_key"], task["attempt_number"]) for task in run["tasks"])
