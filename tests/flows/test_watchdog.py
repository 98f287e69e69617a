"""A worker that is stopped kills the processes of its flow runs, but no job run outlives them."""

import signal
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from tests.flows.processes import alive, create, kill, runs_of, start, state_of, wait_until
from tests.flows.test_worker import deployment, process_of, submit

__all__ = ["deployment"]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGKILL to both"])
def test_a_worker_that_is_stopped_leaves_no_job_run_alive(
    how: str,
    deployment: UUID,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=300)
    flow_run = submit(deployment, connections, tmp_path)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    process = psutil.Process(process_of(flow_run))
    worker = process.parent()
    assert worker is not None
    if how == "SIGKILL to both":
        worker.kill()
        process.kill()
    else:
        worker.send_signal(signal.Signals[how])
    worker.wait(timeout=120)

    wait_until(lambda: state_of(flow_run).is_crashed(), seconds=60)
    wait_until(lambda: not alive(runs_of(faulty, connections)[0], "join_data"), seconds=60)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
    wait_until(lambda: not watchdogs(flow_run))


def test_a_process_that_is_killed_alone_is_left_to_who_started_it(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run = create(connections, tmp_path)
    process = start(flow_run)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    assert watchdogs(flow_run)
    kill(process)
    wait_until(lambda: not watchdogs(flow_run), seconds=60)
    (run,) = runs_of(faulty, connections)
    assert alive(run, "join_data")
    with connections.load_databricks_job().attach(run["run_id"]) as job_run:
        job_run.cancel()


def watchdogs(flow_run_id: UUID) -> list[int]:
    """Return the processes that look after a flow run."""
    mine = ["-m", "flows.watchdog", str(flow_run_id)]
    return [
        each.pid
        for each in psutil.process_iter(["cmdline"])
        if (each.info["cmdline"] or [])[1:4] == mine
    ]
