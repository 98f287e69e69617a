"""Databricks, or Prefect, is away for a while: the job run is neither lost nor doubled."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from blocks.databricks import RepairPolicy
from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from flows.record import read_notes
from flows.renewable_analysis import Analysis
from tests.flows.analyses import analyse, flow_run_id
from tests.flows.conftest import events, task_runs
from tests.flows.processes import (
    alive,
    create,
    kill,
    reschedule,
    runs_of,
    start,
    state_of,
    wait_until,
)

pytestmark = pytest.mark.slow

NO_ANSWER = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Line:
    """A line to the Prefect server that can be disturbed.

    Args:
        port: Of the server, on the loopback interface.

    Attributes:
        port: Of the line's own end.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._failing = False
        self._open: list[socket.socket] = []
        self.port = 0
        self.mend()

    def mend(self) -> None:
        """Let everything through."""
        self._failing = False
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def fail(self) -> None:
        """Answer 500 to whatever comes."""
        self._failing = True
        self._hang_up()

    def cut(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._listener.fileno() < 0:
            return
        # Closing alone does not wake up a thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def _hang_up(self) -> None:
        while self._open:
            with closing(self._open.pop()) as connection:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            if self._failing:
                with closing(caller):
                    caller.recv(65536)
                    caller.sendall(NO_ANSWER)
                continue
            server = socket.create_connection(("127.0.0.1", self._server))
            self._open += [caller, server]
            for here, there in ((caller, server), (server, caller)):
                threading.Thread(target=pass_on, args=(here, there), daemon=True).start()


def pass_on(here: socket.socket, there: socket.socket) -> None:
    try:
        while data := here.recv(65536):
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        return


def noted_run(flow_run_id: UUID) -> int | None:
    record = read_notes(flow_run_id).record
    return record.run_id if record else None


@pytest.fixture
def line(prefect_api: str) -> Iterator[Line]:
    port = urlsplit(prefect_api).port
    assert port is not None
    line = Line(port)
    yield line
    line.cut()


@pytest.mark.parametrize("how", ["refused", "500"])
def test_prefect_is_away_while_the_run_is_watched(
    how: str,
    line: Line,
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=15, transform_data=15)
    faulty.faults.add("exception", task="transform_data", error="ValueError: boom")
    flow_run = create(connections, tmp_path)
    process = start(flow_run, api=f"http://127.0.0.1:{line.port}/api")
    # Before it has noted which run it started, a flow run waits for Prefect to come back.
    wait_until(lambda: noted_run(flow_run) is not None)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    line.cut() if how == "refused" else line.fail()
    # join_data ends, transform_data fails and is repaired without Prefect.
    wait_until(lambda: len(runs_of(faulty, connections)[0]["tasks"]) == 3)
    if how == "500":
        line.cut()
    line.mend()
    assert process.wait(300) == 0
    assert state_of(flow_run).name == "Repaired"
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "SUCCESS"
    assert len(run["tasks"]) == 3
    assert all(each.state and each.state.is_final() for each in task_runs(flow_run))


def test_databricks_answers_503_for_a_while_and_changes_the_cluster_as_told(
    faulty: RunningWorkspace,
    on_faulty: Callable[..., Connections],
    tmp_path: Path,
) -> None:
    connections = on_faulty(join_data=2)
    faulty.faults.add("unavailable", endpoint="GET jobs/runs/get", times=4, retry_after=0)
    faulty.faults.add("out_of_memory", task="join_data")
    faulty.faults.add("spot_lost", task="transform_data")
    policy = RepairPolicy(
        infrastructure_delay_seconds=0,
        out_of_memory_node_type_id="i3.4xlarge",
        on_demand_after_spot_loss=True,
        price_per_hour=3.6,
    )
    state = analyse(connections, tmp_path, repair=policy)
    assert state.name == "Repaired"
    analysis = state.result()
    assert isinstance(analysis, Analysis)
    assert analysis.databricks.repairs == 2
    assert len([each for each in faulty.journal("GET jobs/runs/get") if each.status == 503]) == 4
    clusters = [
        each.body["new_settings"]["job_clusters"][0]["new_cluster"]
        for each in faulty.journal("POST jobs/reset")
    ]
    assert [each["node_type_id"] for each in clusters] == ["i3.4xlarge", "i3.4xlarge"]
    assert clusters[1]["aws_attributes"]["availability"] == "ON_DEMAND"

    (run,) = runs_of(faulty, connections)
    (event,) = events(flow_run_id(state), "databricks.run.repaired", 1)
    payload = event.payload
    assert payload["run_id"] == run["run_id"]
    assert payload["job_id"] == run["job_id"]
    assert payload["job_name"] == run["run_name"]
    assert payload["flow_run_id"] == str(flow_run_id(state))
    assert payload["repairs"] == 2
    assert payload["repaired"] == ["join_data", "transform_data"]
    # The second repair spared join_data.
    assert payload["saved_seconds"] >= 2
    assert payload["saved_money"] == pytest.approx(payload["saved_seconds"] / 1000)


def test_a_restart_does_not_start_the_patience_with_databricks_anew(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=300)
    flow_run = create(connections, tmp_path)
    first = start(flow_run)
    wait_until(lambda: any(alive(run, "join_data") for run in runs_of(faulty, connections)))
    faulty.faults.add("unavailable", endpoint="GET jobs/runs/get", times=1000)
    wait_until(lambda: read_notes(flow_run).unanswered_since is not None)
    kill(first)
    # As if all that had begun nine and a half minutes ago.
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run, {"databricks.unanswered_since": time.time() - 570})

    reschedule(flow_run)
    second = start(flow_run)
    wait_until(lambda: state_of(flow_run).is_failed(), seconds=90)
    assert "503" in str(state_of(flow_run).message)
    assert read_notes(flow_run).unanswered_since is None
    # Its last act has all the patience again: nothing is left alive.
    faulty.faults.clear()
    second.wait(300)
    (run,) = runs_of(faulty, connections)
    assert run["state"]["result_state"] == "CANCELED"
