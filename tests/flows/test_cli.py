"""The command line as a user has it: real processes, from start to end, and killed halfway."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from sqlalchemy import create_engine, inspect, text

from blocks.local.stack import StackDetails, embedded_stack
from flows.cli import PROJECT, main

RENEWABLES = (sys.executable, "-m", "flows.cli")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder; fails the test when a process that belongs to it is left."""
    yield tmp_path
    deadline = time.monotonic() + 20
    while left := processes_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if any(str(folder) in word for word in words):
            found.append(f"{process.pid} {' '.join(words)}"[:200])
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return subprocess.Popen(
        [*RENEWABLES, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Return the URL of the UI, once runs can be triggered there."""
    assert process.stdout is not None
    url, word = process.stdout.readline().strip(), process.stdout.readline().strip()
    assert url
    assert word == "ready"
    return url


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"{words!r} was never said")


def leftovers(stack: StackDetails) -> dict[str, list[str]]:
    """Return what is in the bucket, the temporary tables, and the live Databricks runs."""
    s3 = boto3.client(
        "s3",
        endpoint_url=stack.s3_endpoint,
        region_name=stack.s3_region,
        aws_access_key_id=stack.s3_access_key,
        aws_secret_access_key=stack.s3_secret_key,
    )
    listing = s3.list_objects_v2(Bucket=stack.s3_bucket).get("Contents", [])
    tables = inspect(create_engine(stack.database_url)).get_table_names()
    return {
        "objects": [item["Key"] for item in listing],
        "tables": [name for name in tables if name != "renewable_share"],
        "alive": [str(run["run_id"]) for run in databricks_runs(stack, "active_only=true")],
    }


def databricks_runs(stack: StackDetails, query: str = "limit=25") -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{stack.workspace_url}/api/2.2/jobs/runs/list?{query}",
        headers={"Authorization": f"Bearer {stack.workspace_token}"},
        verify=httpx.create_ssl_context(verify=stack.workspace_ca_file),
    )
    runs: list[dict[str, Any]] = answer.raise_for_status().json().get("runs", [])
    return runs


NOTHING: dict[str, list[str]] = {"objects": [], "tables": [], "alive": []}


def test_one_command_gives_the_chart_and_leaves_nothing_else(folder: Path) -> None:
    status, out, err = finish(start(folder, "run", "--country", "Switzerland", "--json"))
    assert status == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report["state"] == "Completed"
    assert report["years"] == list(range(1985, 2022))
    assert Path(report["chart"]) == folder / "output" / "switzerland.png"
    assert Path(report["chart"]).is_file()
    assert Path(report["data"]).is_file()
    assert report["databricks"]["repairs"] == 0
    assert [
        (attempt["task_key"], attempt["attempt_number"], attempt["result_state"])
        for attempt in report["databricks"]["attempts"]
    ] == [("join_data", 0, "SUCCESS"), ("transform_data", 0, "SUCCESS")]
    assert "join_data: succeeded" in err
    assert str(report["chart"]) in err

    assert processes_of(folder) == []
    with embedded_stack(folder / ".renewables", prefect_server=False) as stack:
        assert leftovers(stack) == NOTHING
        with create_engine(stack.database_url).connect() as connection:
            rows = connection.execute(text("SELECT count(*) FROM renewable_share")).scalar()
        assert rows == 37


def test_a_failed_run_says_one_sentence_and_fails(folder: Path) -> None:
    status, out, err = finish(start(folder, "run", "--country", "Switzerlnd", "--json"))
    assert status == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: No source has a country 'Switzerlnd'. Did you mean Switzerland")
    assert "Traceback" not in err
    report = json.loads(out.splitlines()[-1])
    assert (report["state"], report["chart"], report["databricks"]) == ("Failed", None, None)


@pytest.mark.slow
def test_two_runs_at_once_share_the_stack_and_nothing_else(folder: Path) -> None:
    runs = [start(folder, "run", "--country", "Norway", "--json") for _ in range(2)]
    reports = []
    for run in runs:
        status, out, err = finish(run)
        assert status == 0, err
        reports.append(json.loads(out.splitlines()[-1]))
    assert len({report["databricks"]["run_id"] for report in reports}) == 2
    assert len({report["databricks"]["job_id"] for report in reports}) == 1
    with embedded_stack(folder / ".renewables", prefect_server=False) as stack:
        assert leftovers(stack) == NOTHING


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_cancels_on_databricks_and_cleans_up(
    folder: Path, stop: signal.Signals
) -> None:
    process = start(folder, "run", "--country", "Norway")
    wait_for_line(process, "Databricks run ")
    process.send_signal(stop)
    status, _, err = finish(process)
    assert status not in (0, None)
    assert "Cancelling Databricks run" in err
    assert "Traceback" not in err
    with embedded_stack(folder / ".renewables", prefect_server=False) as stack:
        assert leftovers(stack) == NOTHING
        assert [run["state"]["result_state"] for run in databricks_runs(stack)] == ["CANCELED"]


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_does_not_stop_the_next(folder: Path) -> None:
    process = start(folder, "run", "--country", "Norway")
    wait_for_line(process, "Databricks run ")
    process.kill()
    finish(process)
    deadline = time.monotonic() + 20
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    status, _, err = finish(start(folder, "run", "--country", "Norway"))
    assert status == 0, err
    with embedded_stack(folder / ".renewables", prefect_server=False) as stack:
        assert leftovers(stack)["alive"] == []


def test_missing_settings_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u:hidden-word@h/d")
    for name in ("DATABRICKS_HOST", "RENEWABLES_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    assert main(["blocks"]) == 1
    said = capsys.readouterr().err
    assert "DATABRICKS_HOST, RENEWABLES_BUCKET" in said
    assert ".env.example" in said
    assert "hidden-word" not in said


@pytest.mark.parametrize("command", ["run --country Norway", "up", "workspace"])
def test_without_the_embedded_stack_one_sentence_says_what_to_type(
    command: str, tmp_path: Path
) -> None:
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(("pysail", "trustme")):
            (tmp_path / installed.name).symlink_to(installed)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "flows.cli", *command.split()],
        env={"PYTHONPATH": f"{PROJECT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: The embedded stack is not installed; missing are pysail, trustme. In the project's "
        f"folder, this installs them and goes on: uv run renewables {command}\n"
    )
