"""Libraries that are really installed: by pip, in folders of their own, without a network."""

from __future__ import annotations

import base64
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.local.workspace.installing import NotebookLibraries, local_file
from blocks.local.workspace.libraries import LibraryError
from blocks.local.workspace.overlay import pip_environment
from blocks.local.workspace.store import Store
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from tests.blocks.local.workspace.wheels import make_wheel

SHOW = """# Databricks notebook source
import tiny_lib, pandas
# COMMAND ----------
dbutils.notebook.exit(f"{tiny_lib.VERSION} {pandas.__version__}")
"""
PIP = """# Databricks notebook source
# MAGIC %pip install --no-index ./tiny_lib-2.0-py3-none-any.whl
# COMMAND ----------
child = dbutils.notebook.run("./show", 60)
import tiny_lib
dbutils.notebook.exit(f"{tiny_lib.VERSION}, child {child}")
"""
MISSING = """# Databricks notebook source
# MAGIC %pip install --no-index nowhere-to-be-found
# COMMAND ----------
print("not reached")
"""


@pytest.fixture
def installing(tmp_path: Path) -> Iterator[tuple[RunningWorkspace, httpx.Client]]:
    with (
        running_workspace(tmp_path / "state", "--install-libraries") as workspace,
        workspace.client() as client,
    ):
        yield workspace, client


def put(client: httpx.Client, path: str, content: bytes) -> None:
    form = "SOURCE" if content.startswith(b"# Databricks") else "RAW"
    body = {
        "path": path,
        "content": base64.b64encode(content).decode(),
        "format": form,
        "language": "PYTHON",
        "overwrite": True,
    }
    client.post("/api/2.0/workspace/import", json=body).raise_for_status()


def finished(client: httpx.Client, run_id: int) -> dict[str, dict[str, Any]]:
    while True:
        run = client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()
        if run["end_time"]:
            return {item["task_key"]: item for item in run["tasks"]}
        time.sleep(0.05)


def output(client: httpx.Client, task_run: dict[str, Any]) -> Any:
    query = {"run_id": task_run["run_id"]}
    return client.get("/api/2.2/jobs/runs/get-output", params=query).json()


@pytest.mark.slow
def test_libraries_of_clusters_of_environments_and_of_pip(
    installing: tuple[RunningWorkspace, httpx.Client], tmp_path: Path
) -> None:
    _, client = installing
    local = make_wheel(tmp_path, "tiny_lib", "1.0", "pandas")
    newer = make_wheel(tmp_path, "tiny_lib", "2.0")
    client.post("/api/2.0/workspace/mkdirs", json={"path": "/Shared/libs"})
    put(client, f"/Shared/libs/{newer.name}", newer.read_bytes())
    put(client, "/Shared/libs/show", SHOW.encode())
    put(client, "/Shared/libs/pip", PIP.encode())
    put(client, "/Shared/libs/missing", MISSING.encode())
    requirements = f"--no-index\n--find-links {tmp_path}\ntiny-lib == 1.0\n"
    put(client, "/Shared/libs/requirements.txt", requirements.encode())

    def a_task(key: str, notebook: str, **settings: Any) -> dict[str, Any]:
        path = {"notebook_path": f"/Shared/libs/{notebook}"}
        return {"task_key": key, "notebook_task": path, **settings}

    def on_cluster(key: str, notebook: str, *libraries: dict[str, Any]) -> dict[str, Any]:
        return a_task(key, notebook, new_cluster={"num_workers": 0}, libraries=list(libraries))

    nowhere = {"pypi": {"package": "nowhere-to-be-found", "repo": tmp_path.as_uri()}}
    newer_file = f"/Workspace/Shared/libs/{newer.name}"
    body = {
        "environments": [
            {
                "environment_key": "e",
                "spec": {"dependencies": ["-r /Workspace/Shared/libs/requirements.txt"]},
            },
        ],
        "tasks": [
            on_cluster("whl", "show", {"whl": local.as_uri()}),
            on_cluster("file", "show", {"whl": newer_file}),
            on_cluster("upgraded", "pip", {"whl": str(local)}),
            on_cluster("without", "show"),
            on_cluster("unknown", "show", nowhere),
            on_cluster("java", "show", {"maven": {"coordinates": "a:b:1"}}),
            on_cluster("pip_fails", "missing"),
            a_task("serverless", "show", environment_key="e"),
        ],
    }
    run_id = client.post("/api/2.2/jobs/runs/submit", json=body).json()["run_id"]
    tasks = finished(client, run_id)
    # Pandas came from below, not from an index.
    import pandas as pd

    outputs = {key: output(client, task_run) for key, task_run in tasks.items()}
    shown = {
        key: item.get("error") or item.get("notebook_output", {}).get("result")
        for key, item in outputs.items()
    }
    assert shown["whl"] == shown["serverless"] == f"1.0 {pd.__version__}"
    assert shown["file"] == f"2.0 {pd.__version__}"
    # What a notebook installs is for itself alone: the notebook that it runs has the cluster's.
    assert shown["upgraded"] == f"2.0, child 1.0 {pd.__version__}"
    assert shown["without"].startswith("ModuleNotFoundError")
    assert "returned non-zero exit status" in shown["pip_fails"]
    for key, reason in {
        "unknown": "No matching distribution found for nowhere-to-be-found",
        "java": "no JVM",
    }.items():
        assert tasks[key]["state"]["life_cycle_state"] == "INTERNAL_ERROR"
        assert tasks[key]["state"]["result_state"] == "FAILED"
        assert reason in tasks[key]["state"]["state_message"]
        details = tasks[key]["status"]["termination_details"]
        assert details["code"] == "LIBRARY_INSTALLATION_ERROR"
        assert details["type"] == "CLIENT_ERROR"
    # Never into the environment that runs the workspace.
    assert importlib.util.find_spec("tiny_lib") is None


@pytest.mark.slow
def test_cancel_ends_an_installation(
    installing: tuple[RunningWorkspace, httpx.Client], tmp_path: Path
) -> None:
    _, client = installing
    endless = tmp_path / "endless-1.0"
    endless.mkdir()
    (endless / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
    )
    started = tmp_path / "started"
    (endless / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)\n"
    )
    put(client, "/show", SHOW.encode())
    put(client, "/r.txt", f"{endless}\n".encode())
    task = {
        "task_key": "a",
        "notebook_task": {"notebook_path": "/show"},
        "new_cluster": {"num_workers": 0},
        "libraries": [{"requirements": "/Workspace/r.txt"}],
    }
    run_id = client.post("/api/2.2/jobs/runs/submit", json={"tasks": [task]}).json()["run_id"]
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.post("/api/2.2/jobs/runs/cancel", json={"run_id": run_id})
    assert finished(client, run_id)["a"]["state"]["result_state"] == "CANCELED"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/Workspace/Shared/a.whl", "no such file in the workspace"),
        ("/nowhere/a.whl", "no such file on this machine"),
        ("dbfs:/a.whl", "no such file in DBFS"),
        ("dbfs:/../db", "no absolute path of DBFS"),
        ("s3://bucket/a.whl", "has no s3: file system"),
    ],
)
def test_files_that_are_not_there(tmp_path: Path, path: str, reason: str) -> None:
    store = Store(tmp_path / "db")
    with pytest.raises(LibraryError, match=reason):
        local_file(path, store, tmp_path)
    store.close()


def test_pip_gets_its_own_settings_and_no_others() -> None:
    environ = {"PIP_INDEX_URL": "u", "https_proxy": "p", "AWS_SECRET_ACCESS_KEY": "s", "PATH": "b"}
    given = pip_environment({**environ, "PYTHONPATH": "x"})
    assert {"PIP_INDEX_URL", "https_proxy", "PATH"} <= given.keys()
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & given.keys()


def test_without_pip_nothing_is_installed_nor_left_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")

    def never(*_: object) -> Any:
        raise AssertionError

    done = NotebookLibraries(store, None, ()).pip(("install", "x"), "/", never)
    store.close()
    assert done.status == 1
