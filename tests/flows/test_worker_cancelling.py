"""A flow run of a worker that is cancelled on the command line, whatever its process does."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from tests.flows.analyses import objects_of, tables_of
from tests.flows.processes import (
    PREFECT,
    alive,
    environment,
    runs_of,
    state_of,
    wait_until,
)
from tests.flows.test_worker import deployment, process_of, submit

__all__ = ["deployment"]
pytestmark = pytest.mark.slow


def prefect(*command: str) -> None:
    subprocess.run([PREFECT, *command], check=True, timeout=300, env=environment())


def test_a_cancel_reaches_databricks_also_when_the_flow_process_does_not_answer(
    deployment: UUID,  # the fixture
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=300)
    both = [submit(deployment, connections, tmp_path / str(number)) for number in range(2)]
    wait_until(
        lambda: [alive(run, "join_data") for run in runs_of(faulty, connections)] == [True] * 2
    )
    well, stuck = both
    # The worker kills it after half a minute, and then the hook has to do it.
    os.kill(process_of(stuck), signal.SIGSTOP)
    for flow_run_id in both:
        prefect("flow-run", "cancel", str(flow_run_id))
    wait_until(lambda: state_of(well).is_cancelled())
    assert sorted(results(faulty, connections)) == ["", "CANCELED"]

    wait_until(lambda: state_of(stuck).is_cancelled())
    wait_until(lambda: results(faulty, connections) == ["CANCELED"] * 2)
    for flow_run_id in both:
        cancelled = state_of(flow_run_id)
        assert cancelled.is_cancelled()
        wait_until(lambda state=cancelled: tables_of(state, connections) == [])  # type: ignore[misc]
        wait_until(lambda state=cancelled: objects_of(state, connections) == [])  # type: ignore[misc]


def results(workspace: RunningWorkspace, connections: Connections) -> list[str]:
    return [run["state"].get("result_state", "") for run in runs_of(workspace, connections)]
