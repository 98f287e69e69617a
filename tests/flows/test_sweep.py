"""The sweeper takes away what belongs to flow runs that are over, and nothing else."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import emit_event
from prefect.states import Crashed, Running

from blocks.databricks import NotebookTask, Outcome
from flows.connections import Connections
from flows.mirrors import repair
from flows.naming import run_key
from flows.object_storage import RunFolders
from flows.record import Notes, take_up
from flows.renewable_analysis import renewable_analysis
from flows.sweep import Swept, Verdict, judge, sweep
from tests.flows.analyses import analyse, objects_of, tables_of
from tests.flows.conftest import events

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GRACE, KEEP = timedelta(minutes=10), timedelta(days=7)


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [
        (StateType.RUNNING, None, Verdict.LEAVE),
        (StateType.PENDING, None, Verdict.LEAVE),
        (StateType.PAUSED, timedelta(days=30), Verdict.LEAVE),
        (None, None, Verdict.LEAVE),
        (StateType.CANCELLED, timedelta(minutes=9), Verdict.LEAVE),
        (StateType.CANCELLED, timedelta(minutes=11), Verdict.REMOVE),
        (StateType.COMPLETED, timedelta(minutes=11), Verdict.REMOVE),
        (StateType.FAILED, timedelta(minutes=11), Verdict.END),
        (StateType.CRASHED, timedelta(days=6), Verdict.END),
        (StateType.CRASHED, timedelta(days=8), Verdict.REMOVE),
        (StateType.FAILED, None, Verdict.LEAVE),
    ],
)
def test_the_verdict(state: StateType | None, age: timedelta | None, expected: Verdict) -> None:
    ended = None if age is None else NOW - age
    assert judge(state, ended, NOW, GRACE, KEEP) is expected


def test_a_failed_runs_data_stays_until_it_is_too_old(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = failing(transform_data=9)
    state = analyse(connections, tmp_path, keep_intermediate=True)
    objects, tables = objects_of(state, connections), tables_of(state, connections)
    assert objects
    assert len(tables) == 6
    sweep(connections=connections, grace_minutes=0, keep_failed_days=7)
    assert objects_of(state, connections) == objects
    assert tables_of(state, connections) == tables
    swept = sweep(connections=connections, grace_minutes=0, keep_failed_days=0)
    assert swept.objects >= len(objects)
    assert objects_of(state, connections) == []
    assert set(tables) <= set(swept.tables)
    assert tables_of(state, connections) == []


def test_a_live_run_is_ended_only_when_its_flow_run_is_over(
    connections: Connections, tmp_path: Path
) -> None:
    notebook = tmp_path / "sleep.py"
    notebook.write_text("# Databricks notebook source\nimport time\ntime.sleep(120)\n")
    job = connections.load_databricks_job().model_copy(
        update={
            "job_name": f"sleeping {uuid4()}",
            "tasks": [NotebookTask(task_key="sleep", notebook=str(notebook))],
        }
    )
    job.save("sleeping", overwrite=True)
    mine = Connections(databricks_job="sleeping")
    with get_client(sync_client=True) as client:
        over, repaired_of = (
            client.create_flow_run(renewable_analysis, parameters={"country": "x"}, state=Crashed())
            for _ in range(2)
        )
        alive = client.create_flow_run(
            renewable_analysis, parameters={"country": "x"}, state=Running()
        )
        shown = [
            client.create_task_run(
                repair, flow_run_id=each.id, dynamic_key="0", name="repair", state=Running()
            )
            for each in (over, alive)
        ]
    bucket = connections.load_bucket()
    runs = [
        job.trigger(RunFolders("x", run_key(each.id)).job_parameters(bucket))
        for each in (over, alive)
    ]
    foreign = job.trigger({"country": "x"})
    # Of a flow run that is over, but a person's flow run repairs it.
    repaired = job.trigger(RunFolders("x", run_key(repaired_of.id)).job_parameters(bucket))
    take_up(Notes(alive.id), repaired, "sleeping")

    swept = sweep(connections=mine, grace_minutes=0)

    assert isinstance(swept, Swept)
    with get_client(sync_client=True) as client:
        states = [client.read_task_run(each.id).state_name for each in shown]
    assert states == ["Crashed", "Running"]
    assert swept.cancelled == (runs[0].run_id,)
    assert runs[0].refresh().outcome is Outcome.CANCELED
    for run in (runs[1], foreign, repaired):
        assert not run.refresh().outcome.ended
        run.cancel()
    for run in (*runs, foreign, repaired):
        run.close()


@pytest.mark.slow
def test_a_flow_run_that_is_heard_of_no_more_is_over(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a test it does not take ten minutes.
    silence = timedelta(seconds=20)
    monkeypatch.setattr("flows.sweep._SILENCE", silence)
    with get_client(sync_client=True) as client:

        def flow_run() -> FlowRun:
            parameters = {"country": "x"}
            return client.create_flow_run(
                renewable_analysis, parameters=parameters, state=Running()
            )

        def heartbeat(flow_run: FlowRun) -> None:
            resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}
            emit_event("prefect.flow-run.heartbeat", resource=resource)
            events(flow_run.id, "prefect.flow-run.heartbeat", 1)

        lost, again, without, heard = (flow_run() for _ in range(4))
        for each in (lost, again):
            heartbeat(each)
        time.sleep(silence.total_seconds())
        client.set_flow_run_state(again.id, Running(), force=True)
        heartbeat(heard)

        swept = sweep(connections=connections)
        assert isinstance(swept, Swept)
        mine = {each.id for each in (lost, again, without, heard)}
        assert mine & set(swept.flow_runs) == {lost.id}
        crashed = client.read_flow_run(lost.id).state
        assert crashed is not None
        assert crashed.is_crashed()
        assert "Not heard of since" in str(crashed.message)
        for each in (again, without, heard):
            assert client.read_flow_run(each.id).state_name == "Running"
            client.set_flow_run_state(each.id, Crashed(), force=True)
