"""The task types, secrets and notebooks that run notebooks: on real Spark, over HTTPS."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from tests.blocks.local.workspace.test_end_to_end import output, poll, post, put, task

PARENT = """# Databricks notebook source
token = dbutils.secrets.get("scope", "token")
print("token:", token)
result = dbutils.notebook.run("./child", 60, {"name": "x"})
dbutils.jobs.taskValues.set("names", [result, "y"])
dbutils.notebook.exit(result)
"""
CHILD = """# Databricks notebook source
print("child of", dbutils.widgets.get("name"))
dbutils.notebook.exit(dbutils.widgets.get("name"))
"""
EACH = """# Databricks notebook source
dbutils.notebook.exit(dbutils.widgets.get("item") + dbutils.widgets.get("all"))
"""
SCRIPT = """
import sys
print("arguments:", sys.argv[1:])
print("rows:", spark.range(4).count())
"""
IN_DBFS = """
print(dbutils.fs.head("dbfs:/in/x.txt"), spark.read.text("dbfs:/in").count())
dbutils.fs.put("dbfs:/out/y.txt", "written")
"""


@pytest.fixture(scope="module")
def run(client: httpx.Client) -> Any:
    """One run of a job that has a task of each type."""
    for name, notebook in {"parent": PARENT, "child": CHILD, "each": EACH}.items():
        put(client, name, notebook)
    file = base64.b64encode(SCRIPT.encode()).decode()
    post(client, "2.0/workspace/import", path="/main.py", format="RAW", content=file)
    for path, text in {"/code/main.py": IN_DBFS, "/in/x.txt": "given"}.items():
        content = base64.b64encode(text.encode()).decode()
        post(client, "2.0/dbfs/put", path=path, contents=content)
    post(client, "2.0/secrets/scopes/create", scope="scope")
    post(client, "2.0/secrets/put", scope="scope", key="token", string_value="hush-hush")
    inner = post(client, "2.2/jobs/create", name="inner", tasks=[task("child")])["job_id"]
    after = [{"task_key": "parent"}]
    each = {"notebook_path": "/each", "base_parameters": {"item": "{{input}}"}}
    tasks = [
        task("parent"),
        {
            "task_key": "loop",
            "depends_on": after,
            "for_each_task": {
                "inputs": "{{tasks.parent.values.names}}",
                "concurrency": 2,
                "task": {"task_key": "each", "notebook_task": each},
            },
        },
        {
            "task_key": "check",
            "depends_on": after,
            "condition_task": {
                "op": "EQUAL_TO",
                "left": "{{tasks.parent.result_state}}",
                "right": "success",
            },
        },
        {
            "task_key": "script",
            "depends_on": [{"task_key": "check", "outcome": "true"}],
            "spark_python_task": {"python_file": "/main.py", "parameters": ["{{job.name}}"]},
        },
        {
            "task_key": "call",
            "depends_on": [{"task_key": "check", "outcome": "false"}],
            "run_job_task": {"job_id": inner},
        },
        {
            "task_key": "script_in_dbfs",
            "spark_python_task": {"python_file": "dbfs:/code/main.py"},
        },
        {"task_key": "call_it", "run_job_task": {"job_id": inner, "job_parameters": {"name": "z"}}},
    ]
    job_id = post(
        client,
        "2.2/jobs/create",
        name="all types",
        tasks=tasks,
        parameters=[{"name": "all", "default": "!"}],
    )["job_id"]
    run_id = post(client, "2.2/jobs/run-now", job_id=job_id)["run_id"]
    poll(client, run_id)
    query = {"run_id": run_id, "include_resolved_values": "true"}
    return client.get("/api/2.2/jobs/runs/get", params=query).json()


def entry(run: Any, key: str) -> Any:
    return next(item for item in run["tasks"] if item["task_key"] == key)


def task_run(client: httpx.Client, run: Any, key: str) -> Any:
    query = {"run_id": entry(run, key)["run_id"]}
    return client.get("/api/2.2/jobs/runs/get", params=query).json()


def test_the_run_succeeds_and_leaves_one_branch_out(run: Any) -> None:
    assert run["state"]["result_state"] == "SUCCESS"
    results = {item["task_key"]: item["state"]["result_state"] for item in run["tasks"]}
    assert results.pop("call") == "EXCLUDED"
    assert set(results.values()) == {"SUCCESS"}


def test_a_secret_is_read_but_never_shown(
    client: httpx.Client, server: RunningWorkspace, run: Any
) -> None:
    task_run_id = entry(run, "parent")["run_id"]
    page = httpx.get(f"{server.http_url}/runs/{task_run_id}").text
    assert "token: [REDACTED]" in page
    assert "hush-hush" not in page
    assert output(client, run, "parent")["notebook_output"]["result"] == "x"


def test_a_notebook_that_a_notebook_runs_is_a_workflow_run(client: httpx.Client, run: Any) -> None:
    query = {"run_type": "WORKFLOW_RUN", "expand_tasks": "true"}
    (listed,) = client.get("/api/2.2/jobs/runs/list", params=query).json()["runs"]
    assert (listed["run_type"], listed["run_name"]) == ("WORKFLOW_RUN", "child")
    assert listed["state"]["result_state"] == "SUCCESS"
    assert output(client, listed, "child")["notebook_output"]["result"] == "x"
    cells = client.get(
        "/api/2.2/jobs/runs/export", params={"run_id": listed["tasks"][0]["run_id"]}
    ).json()["views"][0]["content"]
    assert "child of x" in cells
    assert entry(run, "parent")["run_id"] != listed["tasks"][0]["run_id"]


def test_iterations_are_shown_with_their_task(client: httpx.Client, run: Any) -> None:
    loop = task_run(client, run, "loop")
    assert {item["task_key"] for item in loop["iterations"]} == {"each_0", "each_1"}
    results = {
        item["task_key"]: output(client, {"tasks": [item]}, item["task_key"])
        for item in loop["iterations"]
    }
    shown = {key: answer["notebook_output"]["result"] for key, answer in results.items()}
    assert shown == {"each_0": "x!", "each_1": "y!"}
    metadata = results["each_0"]["metadata"]
    assert (metadata["job_run_id"], metadata["job_id"]) == (run["run_id"], run["job_id"])


def test_what_a_python_file_prints_is_its_log(client: httpx.Client, run: Any) -> None:
    answer = output(client, run, "script")
    assert answer["logs"] == "arguments: ['all types']\nrows: 4\n"
    assert answer["logs_truncated"] is False
    assert "notebook_output" not in answer
    query = {"run_id": entry(run, "script")["run_id"]}
    assert client.get("/api/2.2/jobs/runs/export", params=query).status_code == 400


def test_a_python_file_in_dbfs_uses_files_there(client: httpx.Client, run: Any) -> None:
    assert output(client, run, "script_in_dbfs")["logs"] == "given 1\n"
    answer = client.get("/api/2.0/dbfs/read", params={"path": "/out/y.txt"}).json()
    assert base64.b64decode(answer["data"]) == b"written"


def test_a_condition_shows_its_outcome(run: Any) -> None:
    check = entry(run, "check")
    assert check["condition_task"]["outcome"] == "true"
    assert check["resolved_values"] == {"condition_task": {"left": "success", "right": "success"}}


def test_the_run_of_another_job_says_what_started_it(client: httpx.Client, run: Any) -> None:
    call = entry(run, "call_it")
    child_id = output(client, run, "call_it")["run_job_output"]["run_id"]
    child = client.get("/api/2.2/jobs/runs/get", params={"run_id": child_id}).json()
    assert (child["trigger"], child["trigger_info"]) == (
        "RUN_JOB_TASK",
        {"run_id": call["run_id"]},
    )
    assert call["resolved_values"] == {"run_job_task": {"job_parameters": {"name": "z"}}}


def test_every_page_of_the_run_can_be_shown(server: RunningWorkspace, run: Any) -> None:
    ids = [run["run_id"], *(item["run_id"] for item in run["tasks"])]
    for path in ("/", f"/jobs/{run['job_id']}", *(f"/runs/{number}" for number in ids)):
        assert httpx.get(server.http_url + path).status_code == 200, path


def test_options_of_the_server_show_pending_clusters_and_run_shell_cells(tmp_path: Path) -> None:
    options = ("--cluster-start-seconds", "2", "--allow-shell")
    with running_workspace(tmp_path, *options) as slow, slow.client() as client:
        put(client, "shell", "# Databricks notebook source\n# MAGIC %sh -e\n# MAGIC exit 3\n")
        run_id = post(client, "2.2/jobs/runs/submit", tasks=[task("shell")])["run_id"]
        seen = {"BLOCKED"}
        while seen == {"BLOCKED"}:
            shown = client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()
            seen.add(entry(shown, "shell")["state"]["life_cycle_state"])
        assert seen == {"BLOCKED", "PENDING"}
        run = poll(client, run_id)
        assert entry(run, "shell")["setup_duration"] >= 2000
        assert "exit status 3" in output(client, run, "shell")["error"]
