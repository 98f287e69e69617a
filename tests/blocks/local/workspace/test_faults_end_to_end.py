"""Faults of tasks on a real Spark engine: the process and the cluster are really gone."""

from __future__ import annotations

import base64
import time
from typing import Any

import httpx
import psutil
import pytest

from blocks.local.workspace.testing import RunningWorkspace

SLEEPING = "# Databricks notebook source\nimport time\ntime.sleep(600)\n"
SHORT = "# Databricks notebook source\ndbutils.notebook.exit(str(spark.range(3).count()))\n"


def put(client: httpx.Client, name: str, source: str) -> None:
    content = base64.b64encode(source.encode()).decode()
    body = {"path": name, "content": content, "language": "PYTHON", "overwrite": True}
    client.post("/api/2.0/workspace/import", json=body).raise_for_status()


def finished(client: httpx.Client, run_id: int) -> Any:
    while True:
        run = client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()
        if run["end_time"]:
            return run
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("kind", "code", "failed"),
    [("spot_lost", "CLOUD_FAILURE", 2), ("out_of_memory", "DRIVER_ERROR", 1)],
)
def test_what_was_lost_is_repaired_on_a_new_cluster(
    workspace: RunningWorkspace, kind: str, code: str, failed: int
) -> None:
    with workspace.client() as client:
        put(client, "/a", SLEEPING)
        put(client, "/b", SLEEPING if failed == 2 else SHORT)
        tasks = [
            {
                "task_key": key,
                "notebook_task": {"notebook_path": f"/{key}"},
                "job_cluster_key": "main",
            }
            for key in "ab"
        ]
        clusters = [{"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}]
        body = {"tasks": tasks, "job_clusters": clusters}
        job_id = client.post("/api/2.2/jobs/create", json=body).json()["job_id"]
        workspace.faults.add(kind, task="a", after_seconds=1)
        run_id = client.post("/api/2.2/jobs/run-now", json={"job_id": job_id}).json()["run_id"]
        run = finished(client, run_id)
        codes = [item["status"]["termination_details"]["code"] for item in run["tasks"]]
        assert codes.count(code) == failed
        # Python's fork server and resource tracker stay, for the next notebook.
        server, deadline = psutil.Process(workspace.pid), time.monotonic() + 10
        while len(left := server.children(recursive=True)) > 2:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

        put(client, "/a", SHORT)
        put(client, "/b", SHORT)
        again = {"run_id": run_id, "rerun_all_failed_tasks": True}
        client.post("/api/2.2/jobs/runs/repair", json=again).raise_for_status()
        run = finished(client, run_id)
        assert run["state"]["result_state"] == "SUCCESS"
        assert len({item["cluster_instance"]["cluster_id"] for item in run["tasks"]}) == 2
