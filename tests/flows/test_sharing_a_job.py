"""Flow runs that share a saved job do not disturb each other, nor fail because of each other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.local.workspace.testing import RunningWorkspace
from flows.connections import Connections
from tests.flows.processes import (
    attempts,
    create,
    runs_of,
    start,
    state_of,
    wait_until,
)
from tests.flows.test_restart import check_result

pytestmark = pytest.mark.slow


def test_a_bigger_node_waits_for_other_runs_of_the_job_and_others_wait_for_its_repair(
    faulty: RunningWorkspace, on_faulty: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = on_faulty(join_data=10)
    # One of the first two: it has to wait for the other one, whose repairs it would change as well.
    faulty.faults.add("out_of_memory", task="join_data")
    policy = {"out_of_memory_node_type_id": "i3.4xlarge"}
    outputs = [tmp_path / name for name in ("first", "second", "third")]
    flow_runs = [create(connections, output, policy) for output in outputs]
    processes = [start(flow_run) for flow_run in flow_runs[:2]]
    wait_until(lambda: bool(faulty.journal("POST jobs/runs/repair")))
    # While that repair is alive, the job is not what the third one wants it to be.
    processes.append(start(flow_runs[2]))

    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert sorted(str(state_of(each).name) for each in flow_runs[:2]) == ["Completed", "Repaired"]
    assert state_of(flow_runs[2]).name == "Completed"
    for output in outputs:
        check_result(output)
    third, *_ = runs = runs_of(faulty, connections)
    (repaired,) = [run for run in runs if len(attempts(run)) > 2]
    (other,) = [run for run in runs if run not in (third, repaired)]
    (repair,) = faulty.journal("POST jobs/runs/repair")
    assert repair.time >= other["end_time"]
    assert third["start_time"] >= repaired["end_time"]
    nodes = [
        each.body["new_settings"]["job_clusters"][0]["new_cluster"]["node_type_id"]
        for each in faulty.journal("POST jobs/reset")
    ]
    assert nodes == ["i3.4xlarge", "i3.xlarge"]
