"""All-purpose clusters: their states, the tasks on them, and their REST API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.local.workspace.all_purpose import AllPurposeClusters
from blocks.local.workspace.clusters import ClusterState
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.options import Options
from tests.blocks.local.workspace.fake import SECONDS, Bench, job, task
from tests.blocks.local.workspace.test_api_around import get, post, refused

SETTINGS = {"spark_version": "16.4.x-scala2.12", "num_workers": 1}


def on(bench: Bench) -> AllPurposeClusters:
    return AllPurposeClusters(bench.store.clusters, bench.engine)


def until(clusters: AllPurposeClusters, cluster_id: str, expected: ClusterState) -> None:
    deadline = time.monotonic() + SECONDS
    while clusters.state(cluster_id) is not expected:
        assert time.monotonic() < deadline, clusters.state(cluster_id)
        time.sleep(0.002)


def on_cluster(cluster_id: str) -> dict[str, Any]:
    return job(task("a", job_cluster_key=None, existing_cluster_id=cluster_id))


def test_a_cluster_goes_through_its_states(bench: Bench) -> None:
    clusters = on(bench)
    bench.executor.clusters_start.clear()
    cluster_id = clusters.create(SETTINGS)
    assert clusters.state(cluster_id) is ClusterState.PENDING
    for change in (clusters.start, clusters.restart, lambda name: clusters.edit(name, {})):
        with pytest.raises(ApiError, match="in unexpected state Pending") as raised:
            change(cluster_id)
        assert raised.value.error_code == "INVALID_STATE"
    bench.executor.clusters_start.set()
    until(clusters, cluster_id, ClusterState.RUNNING)
    bench.executor.clusters_start.clear()
    clusters.edit(cluster_id, {**SETTINGS, "num_workers": 2})
    assert clusters.state(cluster_id) is ClusterState.RESTARTING
    bench.executor.clusters_start.set()
    until(clusters, cluster_id, ClusterState.RUNNING)
    clusters.terminate(cluster_id)
    clusters.terminate(cluster_id)
    clusters.edit(cluster_id, SETTINGS)
    assert clusters.state(cluster_id) is ClusterState.TERMINATED
    assert [item.alive for item in bench.executor.clusters] == [False, False]
    bench.executor.clusters_start.clear()
    clusters.start(cluster_id)
    assert clusters.state(cluster_id) is ClusterState.PENDING
    bench.executor.clusters_start.set()
    clusters.delete(cluster_id)
    with pytest.raises(ApiError, match="does not exist"):
        clusters.get(cluster_id)
    assert not any(item.alive for item in bench.executor.clusters)


def test_a_cluster_is_pending_for_as_long_as_one_takes(tmp_path: Path) -> None:
    with Bench.on(tmp_path / "db", options=Options(cluster_start_seconds=3600)) as bench:
        clusters = on(bench)
        cluster_id = clusters.create(SETTINGS)
        deadline = time.monotonic() + SECONDS
        while not bench.engine.pool.live():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert clusters.state(cluster_id) is ClusterState.PENDING


def test_a_task_starts_the_cluster_that_it_names(bench: Bench) -> None:
    clusters = on(bench)
    cluster_id = clusters.create({**SETTINGS, "spark_env_vars": {"NAME": "value"}})
    clusters.terminate(cluster_id)
    run = bench.finished(bench.run(bench.create(on_cluster(cluster_id))))
    assert run.latest["a"].cluster_id == cluster_id
    assert bench.execution(0).request.environment == {"NAME": "value"}
    assert clusters.state(cluster_id) is ClusterState.RUNNING


def test_what_runs_on_a_cluster_ends_with_it(bench: Bench) -> None:
    clusters = on(bench)
    cluster_id = clusters.create(SETTINGS)
    run_id = bench.run(bench.create(on_cluster(cluster_id), a="wait"))
    bench.execution(0)
    clusters.restart(cluster_id)
    state = bench.finished(run_id).latest["a"].state
    assert (state.result, state.code) == ("FAILED", "CLUSTER_ERROR")
    assert cluster_id in state.message


def test_clusters_outlive_the_workspace_terminated(tmp_path: Path) -> None:
    with Bench.on(tmp_path / "db") as bench:
        cluster_id = on(bench).create(SETTINGS)
    with Bench.on(tmp_path / "db") as bench:
        clusters = on(bench)
        assert clusters.get(cluster_id).settings == SETTINGS
        assert clusters.state(cluster_id) is ClusterState.TERMINATED
        clusters.start(cluster_id)
        until(clusters, cluster_id, ClusterState.RUNNING)


def shown(client: httpx.Client, cluster_id: str, state: str) -> Any:
    """Wait until the API shows a cluster in a state."""
    deadline = time.monotonic() + SECONDS
    while (found := get(client, "clusters/get", cluster_id=cluster_id))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_the_api(client: httpx.Client) -> None:
    assert get(client, "clusters/spark-versions")["versions"]
    assert get(client, "clusters/list-node-types")["node_types"]
    assert get(client, "clusters/list") == {}
    cluster_id = post(client, "clusters/create", cluster_name="mine", **SETTINGS)["cluster_id"]
    found = shown(client, cluster_id, "RUNNING")
    assert found["cluster_name"] == "mine"
    assert found["num_workers"] == 1
    assert found["cluster_source"] == "API"
    assert get(client, "clusters/list") == {"clusters": [found]}
    changed = {**found, "cluster_name": "ours", "node_type_id": "i3.xlarge"}
    post(client, "clusters/edit", **changed)
    assert shown(client, cluster_id, "RUNNING") == changed
    assert post(client, "clusters/delete", cluster_id=cluster_id) == {}
    found = shown(client, cluster_id, "TERMINATED")
    post(client, "clusters/edit", **found)
    assert get(client, "clusters/get", cluster_id=cluster_id) == found
    assert found["termination_reason"] == {"code": "USER_REQUEST", "type": "SUCCESS"}
    assert found["terminated_time"] >= found["start_time"]
    restarted = client.post("/api/2.1/clusters/restart", json={"cluster_id": cluster_id})
    assert refused(restarted)[:2] == (400, "INVALID_STATE")
    post(client, "clusters/start", cluster_id=cluster_id)
    shown(client, cluster_id, "RUNNING")
    post(client, "clusters/restart", cluster_id=cluster_id)
    shown(client, cluster_id, "RUNNING")
    post(client, "clusters/permanent-delete", cluster_id=cluster_id)
    assert get(client, "clusters/list") == {}


@pytest.mark.parametrize(
    ("call", "body", "message"),
    [
        ("create", {"num_workers": 1}, "Missing required field: spark_version"),
        ("create", {"spark_version": "x"}, "Missing required field: size"),
        ("edit", {"cluster_id": "none", **SETTINGS}, "Cluster none does not exist"),
        *(
            (call, {"cluster_id": "none"}, "Cluster none does not exist")
            for call in ("start", "restart", "delete", "permanent-delete")
        ),
    ],
)
def test_what_the_api_refuses(
    client: httpx.Client, call: str, body: dict[str, Any], message: str
) -> None:
    answer = refused(client.post(f"/api/2.0/clusters/{call}", json=body))
    assert answer[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert answer[2].endswith(message)
    answer = refused(client.get("/api/2.0/clusters/get", params={"cluster_id": "none"}))
    assert answer == (400, "INVALID_PARAMETER_VALUE", "Cluster none does not exist")
