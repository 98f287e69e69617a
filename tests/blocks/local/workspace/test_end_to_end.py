"""Real notebooks on a real Spark engine, over HTTPS."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from blocks.local.workspace.testing import RunningWorkspace, running_workspace

JOIN = """# Databricks notebook source
dbutils.widgets.text("country", "nowhere")
dbutils.jobs.taskValues.set("rows", spark.range(10).count())

# COMMAND ----------
# DBTITLE 1,The country
print(dbutils.widgets.get("country"))
"""
BROKEN = """# Databricks notebook source
# MAGIC %md
# MAGIC # Transform

# COMMAND ----------
raise ValueError("boom")

# COMMAND ----------
print("never")
"""
MENDED = """# Databricks notebook source
rows = dbutils.widgets.get("rows")
country = dbutils.widgets.get("country")
dbutils.notebook.exit(f"{country} {rows}")
"""
SLEEPING = """# Databricks notebook source
import time
time.sleep(600)
"""


def post(client: httpx.Client, path: str, /, **body: Any) -> Any:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(client: httpx.Client, name: str, source: str) -> None:
    post(
        client,
        "2.0/workspace/import",
        **{"path": f"/{name}", "language": "PYTHON", "overwrite": True},
        content=base64.b64encode(source.encode()).decode(),
    )


def task(key: str, **settings: Any) -> dict[str, Any]:
    return {"task_key": key, "notebook_task": {"notebook_path": f"/{key}"}, **settings}


def poll(client: httpx.Client, run_id: int, *, running: str = "") -> Any:
    """Return the run once it has ended, or once a task is running."""
    while True:
        run = client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()
        states = {item["task_key"]: item["state"]["life_cycle_state"] for item in run["tasks"]}
        if run["end_time"] or (running and states[running] == "RUNNING"):
            return run
        time.sleep(0.05)


def output(client: httpx.Client, run: Any, key: str) -> Any:
    latest = max(
        (item for item in run["tasks"] if item["task_key"] == key),
        key=lambda item: int(item["attempt_number"]),
    )
    query = {"run_id": latest["run_id"]}
    return client.get("/api/2.2/jobs/runs/get-output", params=query).json()


def test_a_job_of_two_notebooks_fails_is_repaired_and_ends_green(
    server: RunningWorkspace, client: httpx.Client
) -> None:
    put(client, "join", JOIN)
    put(client, "transform", BROKEN)
    cluster = {"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}
    rows = {"rows": "{{tasks.join.values.rows}}"}
    notebook = {"notebook_path": "/transform", "base_parameters": rows}
    job_id = post(
        client,
        "2.2/jobs/create",
        name="two notebooks",
        job_clusters=[cluster],
        parameters=[{"name": "country", "default": "Chile"}],
        tasks=[
            task("join", job_cluster_key="main"),
            task(
                "transform",
                job_cluster_key="main",
                depends_on=[{"task_key": "join"}],
                notebook_task=notebook,
            ),
        ],
    )["job_id"]
    given = {"country": "Norway"}
    run_id = post(client, "2.2/jobs/run-now", job_id=job_id, job_parameters=given)["run_id"]
    run = poll(client, run_id)
    assert run["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    failed = output(client, run, "transform")
    assert failed["error"] == "ValueError: boom"
    assert 'raise ValueError("boom")' in failed["error_trace"]
    assert output(client, run, "join")["notebook_output"] == {}
    joined = next(item["run_id"] for item in run["tasks"] if item["task_key"] == "join")
    exported = client.get("/api/2.0/jobs/runs/export", params={"run_id": joined}).json()
    assert "Norway" in exported["views"][0]["content"]

    put(client, "transform", MENDED)
    post(
        client,
        "2.2/jobs/runs/repair",
        run_id=run_id,
        rerun_tasks=["transform"],
        job_parameters=given,
    )
    run = poll(client, run_id)
    assert run["state"]["result_state"] == "SUCCESS"
    assert output(client, run, "transform")["notebook_output"]["result"] == "Norway 10"
    clusters = {item["cluster_instance"]["cluster_id"] for item in run["tasks"]}
    assert len(clusters) == 2


def test_cancel_ends_the_notebook_within_two_seconds(
    server: RunningWorkspace, client: httpx.Client
) -> None:
    put(client, "sleep", SLEEPING)
    run_id = post(client, "2.2/jobs/runs/submit", run_name="s", tasks=[task("sleep")])["run_id"]
    poll(client, run_id, running="sleep")
    process = psutil.Process(server.pid)
    cancelled = time.monotonic()
    post(client, "2.2/jobs/runs/cancel", run_id=run_id)
    run = poll(client, run_id)
    assert time.monotonic() - cancelled < 2
    assert run["state"]["result_state"] == "CANCELED"
    assert run["state"]["user_cancelled_or_timedout"] is True
    assert process.is_running()


def test_a_killed_workspace_leaves_no_process_and_reads_as_a_driver_loss(tmp_path: Path) -> None:
    with running_workspace(tmp_path) as before, before.client() as client:
        put(client, "sleep", SLEEPING)
        submitted = post(client, "2.2/jobs/runs/submit", run_name="s", tasks=[task("sleep")])
        run_id = submitted["run_id"]
        poll(client, run_id, running="sleep")
        server = psutil.Process(before.pid)
        children = server.children(recursive=True)
        server.kill()
        _, alive = psutil.wait_procs([server, *children], timeout=10)
        assert alive == []
    with running_workspace(tmp_path) as after, after.client() as client:
        run = poll(client, run_id)
        (entry,) = run["tasks"]
        for shown in (run, entry):
            assert shown["state"]["life_cycle_state"] == "INTERNAL_ERROR"
            assert shown["state"]["result_state"] == "FAILED"
            assert shown["status"]["termination_details"]["code"] == "DRIVER_ERROR"


def test_nothing_is_left_when_the_workspace_stops(workspace: RunningWorkspace) -> None:
    with workspace.client() as client:
        put(client, "sleep", SLEEPING)
        submitted = post(client, "2.2/jobs/runs/submit", run_name="s", tasks=[task("sleep")])
        poll(client, submitted["run_id"], running="sleep")
        server = psutil.Process(workspace.pid)
        children = server.children(recursive=True)
        assert children
        server.terminate()
        gone, alive = psutil.wait_procs([server, *children], timeout=10)
        assert len(gone) == len(children) + 1
        assert alive == []
