"""``prefect deploy`` as the README has it, from a copy of the project, on a real Prefect server."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events import emit_event
from prefect.workers.process import ProcessWorker

from blocks.databricks import RepairPolicy
from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from tests.flows.analyses import analyse, job_failure
from tests.flows.conftest import PROJECT, task_runs
from tests.flows.processes import attempts, environment
from tests.flows.processes import runs_of as job_runs

pytestmark = pytest.mark.slow

PREFECT = (sys.executable, "-m", "prefect")
WORK_POOL = f"deploying-{uuid4()}"
NAMES = ("renewable-analysis/country", "repair-databricks-run/repair", "sweep/housekeeping")
REPAIR_AUTOMATION = "Repair a failed run once more, half an hour later"

Command = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is deployed, for a work pool of its own."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("flows", "blocks", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / folder, copy / folder, ignore=ignored)
    text = (PROJECT / "prefect.yaml").read_text()
    pool = "    work_pool:\n      name: {}\n"
    assert pool.format("renewables") in text
    changed = text.replace(pool.format("renewables"), pool.format(WORK_POOL))
    (copy / "prefect.yaml").write_text(changed)
    return copy


@pytest.fixture(scope="module")
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """A client of the server, on which nothing is deployed before and afterwards."""
    with get_client(sync_client=True) as client:
        delete_deployments(client)
        yield client
        delete_deployments(client)


def delete_deployments(client: SyncPrefectClient) -> None:
    for each in client.read_deployments():
        # Automations outlive the deployment that they belong to.
        owner = {"resource_id": f"prefect.deployment.{each.id}"}
        client.request("DELETE", "/automations/owned-by/{resource_id}", path_params=owner)
        client.delete_deployment(each.id)


@pytest.fixture(scope="module")
def tries(project: Path, client: SyncPrefectClient, prefect_api: str) -> list[Command]:
    """What deploying everything says: without the work pool, then with it, then once more."""

    def deploy() -> Command:
        return subprocess.run(
            [*PREFECT, "--no-prompt", "deploy", "--all"],
            cwd=project,
            env={**os.environ, "PREFECT_API_URL": prefect_api, "COLUMNS": "500"},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = deploy()
    assert client.read_deployments() == []
    template = ProcessWorker.get_default_base_job_template()
    client.create_work_pool(
        WorkPoolCreate(name=WORK_POOL, type=ProcessWorker.type, base_job_template=template)
    )
    return [refused, deploy(), deploy()]


@pytest.fixture(scope="module")
def deployed(tries: list[Command], client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The deployments ``country``, ``repair`` and ``housekeeping``."""
    return [client.read_deployment_by_name(name) for name in NAMES]


@pytest.fixture
def worker(tmp_path: Path, prefect_api: str) -> Iterator[None]:
    """A worker, in a folder that has nothing to do with the project."""
    command = [*PREFECT, "worker", "start", "--pool", WORK_POOL]
    environment = {**os.environ, "PREFECT_API_URL": prefect_api}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        yield
        process.terminate()


def automations(client: SyncPrefectClient, deployment: DeploymentResponse) -> list[dict[str, Any]]:
    path = {"resource_id": f"prefect.deployment.{deployment.id}"}
    answer = client.request("GET", "/automations/related-to/{resource_id}", path_params=path)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def runs_of(client: SyncPrefectClient, deployment_id: UUID) -> list[FlowRun]:
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    return client.read_flow_runs(deployment_filter=chosen)


def wait_for(what: Callable[[], FlowRun | None]) -> FlowRun:
    deadline = time.monotonic() + 180
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_a_missing_work_pool_is_named(tries: list[Command]) -> None:
    refused, *_ = tries
    assert refused.returncode == 1
    assert f"work pool '{WORK_POOL}' which does not exist" in refused.stdout


def test_deploying_twice_makes_nothing_twice(
    tries: list[Command],
    deployed: list[DeploymentResponse],
    client: SyncPrefectClient,
    project: Path,
) -> None:
    assert [each.returncode for each in tries[1:]] == [0, 0], tries[1:]
    country, repair, housekeeping = deployed
    assert [(each.slug, each.active) for each in country.schedules] == [("monthly", False)]
    assert [(each.slug, each.active) for each in housekeeping.schedules] == [("hourly", True)]
    assert repair.schedules == automations(client, country) == []
    assert [(each["name"], each["enabled"]) for each in automations(client, repair)] == [
        (REPAIR_AUTOMATION, False)
    ]
    assert [(each["name"], each["enabled"]) for each in automations(client, housekeeping)] == [
        ("Sweep after a crash", True)
    ]
    assert country.pull_steps == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}
    ]


def test_a_worker_anywhere_finds_the_code(
    deployed: list[DeploymentResponse],
    worker: None,
    connections: Connections,
    client: SyncPrefectClient,
) -> None:
    run = client.create_flow_run_from_deployment(deployed[-1].id)

    def ended() -> FlowRun | None:
        found = client.read_flow_run(run.id)
        return found if found.state and found.state.is_final() else None

    state = wait_for(ended).state
    assert state is not None
    assert state.is_completed(), state


def test_a_failed_run_of_a_country_can_start_its_repair(
    deployed: list[DeploymentResponse], client: SyncPrefectClient
) -> None:
    _, repair, _ = deployed
    (automation,) = automations(client, repair)
    path = {"id": automation["id"]}
    client.request("PATCH", "/automations/{id}", path_params=path, json={"enabled": True})

    def fail(run_id: int, deployment: str) -> None:
        related = {
            "prefect.resource.id": f"prefect.deployment.{uuid4()}",
            "prefect.resource.role": "deployment",
            "prefect.resource.name": deployment,
        }
        resource = {"prefect.resource.id": f"databricks.run.{run_id}"}
        payload = {"run_id": run_id}
        emit_event("databricks.run.failed", resource, related=[related], payload=payload)

    def started() -> FlowRun | None:
        # Again and again: nobody knows from when on the server minds the automation.
        fail(1, "repair")
        fail(2, "country")
        time.sleep(5)
        return next(iter(runs_of(client, repair.id)), None)

    run = wait_for(started)
    assert run.state is not None
    assert run.state.is_scheduled()
    due, made = run.expected_start_time, run.created
    assert due is not None
    assert made is not None
    assert due - made > timedelta(minutes=29)
    assert {each.parameters["run_id"] for each in runs_of(client, repair.id)} == {2}


def test_a_person_repairs_a_run_from_the_command_line(
    deployed: list[DeploymentResponse],
    worker: None,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    client: SyncPrefectClient,
    tmp_path: Path,
) -> None:
    connections = on_faulty()
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    error = job_failure(analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=0)))
    run_id, job = error.state.run_id, connections.databricks_job
    parameters = ["-p", f"run_id={run_id}", "-p", f'job="{job}"']
    command = [*PREFECT, "deployment", "run", NAMES[1], *parameters, "--watch"]
    subprocess.run(command, check=True, timeout=300, env=environment())

    (run,) = job_runs(faulty, connections)
    assert run["run_id"] == run_id
    assert run["state"]["result_state"] == "SUCCESS"
    assert attempts(run) == [("join_data", 0), ("transform_data", 0), ("transform_data", 1)]
    (repairing,) = (
        each for each in runs_of(client, deployed[1].id) if each.parameters["run_id"] == run_id
    )
    assert repairing.state_name == "Repaired"
    shown = Counter((each.name, each.state_name) for each in task_runs(repairing.id))
    assert shown == {("repair", "Completed"): 1, ("transform_data", "Completed"): 1}
