"""The repairs that a flow run sends by itself, as the journal of the workspace has them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import NotebookTask, RepairPolicy
from blocks.local.workspace.testing import RunningWorkspace
from blocks.registration import TASKS
from flows.connections import Connections
from tests.flows.analyses import analyse, flow_run_id
from tests.flows.conftest import assert_logged, change_job, task_runs, with_cell
from tests.flows.processes import attempts, create, runs_of, start, state_of
from tests.flows.test_restart import edit_job

pytestmark = pytest.mark.slow


def noting(task: NotebookTask, failures: int, folder: Path) -> NotebookTask:
    """Return the task with a notebook that notes its widgets' values, then fails some times."""
    notes = folder / f"{task.task_key}.notes"
    notes.touch()
    lines = [
        "import json",
        "from pathlib import Path",
        f"notes = Path({str(notes)!r})",
        "before = notes.read_text()",
        "notes.write_text(before + json.dumps(dbutils.widgets.getAll()) + '\\n')",
        f"if before.count('\\n') < {failures}:",
        "    raise RuntimeError('made to fail')",
    ]
    return with_cell(task, lines, folder)


def repairs_of(workspace: RunningWorkspace) -> list[dict[str, Any]]:
    return [each.body for each in workspace.journal("POST jobs/runs/repair")]


def test_each_round_runs_what_failed_with_the_same_parameters(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    failures = {"join_data": 1, "transform_data": 2}
    tasks = [noting(task, failures[task.task_key], tmp_path) for task in TASKS]
    change_job(connections, tasks=tasks)
    state = analyse(connections, tmp_path, repair=RepairPolicy(max_repairs=3))
    assert state.name == "Repaired"

    (run,) = runs_of(faulty, connections)
    assert attempts(run) == [
        *(("join_data", number) for number in range(2)),
        *(("transform_data", number) for number in range(4)),
    ]
    (started,) = faulty.journal("POST jobs/run-now")
    every = {"run_id": run["run_id"], "job_parameters": started.body["job_parameters"]}
    _, first, second, _ = (each.get("id") for each in run["repair_history"])
    assert repairs_of(faulty) == [
        every | {"rerun_tasks": ["join_data", "transform_data"]},
        every | {"rerun_tasks": ["transform_data"], "latest_repair_id": first},
        every | {"rerun_tasks": ["transform_data"], "latest_repair_id": second},
    ]
    for task_key, times in failures.items():
        notes = (tmp_path / f"{task_key}.notes").read_text().splitlines()
        assert len(notes) == 1 + times
        assert len(set(notes)) == 1
        assert json.loads(notes[0])["country"] == "Norway"
        assert json.loads(notes[0])["input_path"].startswith("s3://")


def test_the_wait_grows_with_the_losses_and_a_library_is_named(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty()
    faulty.faults.add("cluster_lost", task="join_data", times=2)
    faulty.faults.add("library_failed", task="transform_data")
    policy = RepairPolicy(infrastructure_delay_seconds=2, delay_growth=4, delay_jitter=0)
    state = analyse(connections, tmp_path, repair=policy)
    assert state.name == "Repaired"

    (run,) = runs_of(faulty, connections)
    ends = {(each["task_key"], each["attempt_number"]): each["end_time"] for each in run["tasks"]}
    repairs = faulty.journal("POST jobs/runs/repair")
    assert [each.body["rerun_tasks"] for each in repairs] == [
        ["join_data", "transform_data"],
        ["join_data", "transform_data"],
        ["transform_data"],
    ]
    assert repairs[0].time - ends["join_data", 0] >= 2_000
    assert repairs[1].time - ends["join_data", 1] >= 8_000
    shown = [(each.name, str(each.state and each.state.message)) for each in failed(state)]
    assert [name for name, _ in shown] == ["join_data", "join_data", "transform_data"]
    assert "Cluster became unreachable" in shown[0][1]
    assert "Library installation failed" in shown[2][1]


def failed(state: Any) -> list[Any]:
    return [each for each in task_runs(flow_run_id(state)) if each.state_name == "Failed"]


def test_an_edit_while_a_repair_waits_stops_it(
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "INFO")
    connections = on_faulty()
    faulty.faults.add("cluster_lost", task="join_data")
    policy = {"infrastructure_delay_seconds": 20, "delay_jitter": 0}
    flow_run = create(connections, tmp_path, policy)
    process = start(flow_run)
    assert_logged(flow_run, "Repairing run", seconds=120)
    edit_job(faulty, runs_of(faulty, connections)[0], timeout_seconds=777)
    process.wait(300)
    assert state_of(flow_run).is_failed()
    assert "timeout_seconds: 0 is now 777" in str(state_of(flow_run).message)
    assert repairs_of(faulty) == []


def test_a_service_principal_whose_tokens_expire_and_a_date_to_wait_for(
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = on_faulty()
    # The token's endpoint is asked by a client that has no options.
    monkeypatch.setenv("SSL_CERT_FILE", str(faulty.ca_file))
    principal = DatabricksCredentials(
        databricks_instance=faulty.host, client_id="principal", client_secret=faulty.token
    )
    change_job(connections, databricks_credentials=principal)
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    expiring = ["GET jobs/runs/get", "POST jobs/run-now", "POST jobs/runs/repair"]
    for endpoint, status in zip(expiring, (401, 403, 403), strict=True):
        faulty.faults.add("expired_token", endpoint=endpoint, status=status)
    faulty.faults.add(
        "too_many_requests", endpoint="GET jobs/runs/get", retry_after=4, retry_after_form="date"
    )
    state = analyse(connections, tmp_path)
    assert state.name == "Repaired"

    assert [each["struck"] for each in faulty.faults.armed()] == [1] * 5
    requests = faulty.side_api("GET", "journal")["requests"]
    tokens = [each for each in requests if each["path"] == "/oidc/v1/token"]
    assert len(tokens) >= 1 + len(expiring)
    looks = faulty.journal("GET jobs/runs/get")
    (told,) = (number for number, look in enumerate(looks) if look.status == 429)
    # A date has whole seconds.
    assert looks[told + 1].time - looks[told].time >= 3_000

    (run,) = runs_of(faulty, connections)
    _, started = faulty.journal("POST jobs/run-now")
    refused, sent = repairs_of(faulty)
    assert refused == sent
    assert sent == {
        "run_id": run["run_id"],
        "rerun_tasks": ["transform_data"],
        "job_parameters": started.body["job_parameters"],
    }
