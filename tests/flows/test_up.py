"""``renewables up``: deployed, run by a worker, cancelled, and nothing left."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from blocks.local.stack import StackDetails, embedded_stack
from flows.connections import Connections
from tests.flows.conftest import task_runs
from tests.flows.processes import state_of, wait_until
from tests.flows.test_cli import (
    NOTHING,
    databricks_runs,
    finish,
    folder,
    leftovers,
    start,
    wait_until_ready,
)
from tests.flows.test_watchdog import watchdogs

__all__ = ["folder"]
pytestmark = pytest.mark.slow

LONG = 300  # seconds; only a machine that does other things as well needs as many


@pytest.fixture
def up(folder: Path) -> Iterator[subprocess.Popen[str]]:  # the fixture, asked for
    """A served project, whose Prefect API is the one in use; stopped with SIGTERM."""
    process = start(folder, "up")
    url = wait_until_ready(process)
    with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
        yield process
    process.send_signal(signal.SIGTERM)
    finish(process)


@pytest.fixture
def stack(folder: Path, up: subprocess.Popen[str]) -> Iterator[StackDetails]:
    with embedded_stack(folder / ".renewables", prefect_server=False) as details:
        yield details


def make_join_data_slow(folder: Path) -> None:
    """Give the deployment's job a first notebook that a cancel always comes in time for."""
    notebook = folder / "join_data.py"
    notebook.write_text("# Databricks notebook source\nimport time\ntime.sleep(120)\n")
    job = Connections().load_databricks_job()
    first, *others = job.tasks
    slow = first.model_copy(update={"notebook": str(notebook)})
    job.model_copy(update={"tasks": [slow, *others]}).save("renewables", overwrite=True)


def deploy_run(country: str, output: Path, seconds: float) -> FlowRun:
    run = run_deployment(
        "renewable-analysis/country",
        parameters={"country": country, "output": str(output)},
        timeout=seconds,
        poll_interval=0.5,
        as_subflow=False,
    )
    assert isinstance(run, FlowRun)
    return run


def test_a_deployed_run_completes_and_a_cancelled_one_leaves_nothing(
    stack: StackDetails, tmp_path: Path
) -> None:
    run = deploy_run("Norway", tmp_path / "out", seconds=LONG)
    assert run.state is not None
    assert run.state.is_completed(), run.state
    assert (tmp_path / "out" / "norway.png").is_file()
    wait_until(lambda: leftovers(stack) == NOTHING)  # a hook after the final state sees to it

    make_join_data_slow(tmp_path)
    run = deploy_run("Denmark", tmp_path / "out", seconds=0)
    wait_until(lambda: bool(databricks_runs(stack, "active_only=true")))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Cancelling())
    wait_until(lambda: state_of(run.id).name == "Cancelled")
    assert databricks_runs(stack)[0]["state"]["result_state"] == "CANCELED"
    wait_until(lambda: leftovers(stack) == NOTHING)
    assert not (tmp_path / "out" / "denmark.png").exists()
    assert all(each.state and each.state.is_final() for each in task_runs(run.id))


def test_what_runs_is_cancelled_when_it_is_stopped(folder: Path, tmp_path: Path) -> None:
    process = start(folder, "up")
    url = wait_until_ready(process)
    with (
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        embedded_stack(folder / ".renewables", prefect_server=False) as stack,
    ):
        make_join_data_slow(tmp_path)
        run = deploy_run("Norway", tmp_path / "out", seconds=0)
        wait_until(lambda: bool(databricks_runs(stack, "active_only=true")))
        process.send_signal(signal.SIGTERM)
        status, _, err = finish(process)
        assert status == 130
        assert "Cancelling flow run Norway" in err
        assert databricks_runs(stack)[0]["state"]["result_state"] == "CANCELED"
        assert leftovers(stack) == NOTHING
    assert not watchdogs(run.id)
    again = start(folder, "up")
    with temporary_settings({PREFECT_API_URL: f"{wait_until_ready(again)}/api"}):
        assert state_of(run.id).name == "Cancelled"
    again.send_signal(signal.SIGTERM)
    finish(again)


def test_a_second_one_is_told_where_the_first_is_and_a_killed_one_is_in_nobodys_way(
    folder: Path,
) -> None:
    first = start(folder, "up")
    url = wait_until_ready(first)
    status, out, err = finish(start(folder, "up"))
    assert (status, out) == (1, "")
    assert err.startswith(f"error: process {first.pid} serves {folder / '.renewables'} already")
    assert f"at {url};" in err
    assert err.count("\n") == 1

    first.kill()
    finish(first)
    next_one = start(folder, "up")
    wait_until_ready(next_one)
    next_one.send_signal(signal.SIGINT)
    status, _, err = finish(next_one)
    assert status == 130
    assert "Traceback" not in err
