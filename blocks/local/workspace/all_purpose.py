"""All-purpose clusters: made, started, restarted, edited and terminated by whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blocks.local.workspace.clock import now
from blocks.local.workspace.clusters import ClusterKey, ClusterState, new_cluster_id
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import ApiError, no_cluster
from blocks.local.workspace.states import LifeCycle, Result, State
from blocks.local.workspace.store.clusters import AllPurposeCluster, Clusters


class AllPurposeClusters:
    """The clusters that outlive runs. Whether one is up, its engine says; the rest is stored.

    So all are terminated when the workspace starts. A task that names a terminated one starts it.

    Args:
        clusters: Where they are kept.
        engine: Has them up.
    """

    def __init__(self, clusters: Clusters, engine: Engine) -> None:
        self._clusters = clusters
        self._engine = engine
        # Nobody sees a restart between its two halves.
        self._lock = threading.Lock()
        self._restarted: set[str] = set()

    def create(self, settings: Mapping[str, Any]) -> str:
        """Make a cluster, begin to start it, and return its id."""
        cluster = AllPurposeCluster(new_cluster_id(), settings, now())
        self._clusters.put(cluster)
        self._engine.pool.begin(_key(cluster.cluster_id))
        return cluster.cluster_id

    def list(self) -> tuple[AllPurposeCluster, ...]:
        """Return all clusters, oldest first."""
        return self._clusters.list()

    def get(self, cluster_id: str) -> AllPurposeCluster:
        """Return a cluster.

        Raises:
            ApiError: There is no such cluster.
        """
        cluster = self._clusters.get(cluster_id)
        if cluster is None:
            raise no_cluster(cluster_id)
        return cluster

    def state(self, cluster_id: str) -> ClusterState:
        """Return where a cluster stands."""
        with self._lock:
            return self._state(cluster_id)

    def start(self, cluster_id: str) -> None:
        """Begin to start a cluster.

        Raises:
            ApiError: There is no such cluster, or it is not terminated.
        """
        with self._lock:
            cluster = self.get(cluster_id)
            self._expect(cluster_id, ClusterState.TERMINATED)
            self._restarted.discard(cluster_id)
            self._clusters.put(replace(cluster, terminated=0))
            self._engine.pool.begin(_key(cluster_id))

    def restart(self, cluster_id: str) -> None:
        """Stop a cluster with everything on it and begin to start it again.

        Raises:
            ApiError: There is no such cluster, or it is not running.
        """
        with self._lock:
            self.get(cluster_id)
            self._expect(cluster_id, ClusterState.RUNNING)
            self._restart(cluster_id)

    def edit(self, cluster_id: str, settings: Mapping[str, Any]) -> None:
        """Replace the settings of a cluster; one that is running restarts.

        Raises:
            ApiError: There is no such cluster, or it is about to start.
        """
        with self._lock:
            cluster = self.get(cluster_id)
            state = self._expect(cluster_id, ClusterState.RUNNING, ClusterState.TERMINATED)
            self._clusters.put(replace(cluster, settings=settings))
            if state is ClusterState.RUNNING:
                self._restart(cluster_id)

    def terminate(self, cluster_id: str) -> None:
        """Stop a cluster with everything on it; nothing happens to one that is terminated.

        Raises:
            ApiError: There is no such cluster.
        """
        with self._lock:
            cluster = self.get(cluster_id)
            if self._state(cluster_id) is not ClusterState.TERMINATED:
                self._stop(cluster_id)
                self._clusters.put(replace(cluster, terminated=now()))

    def delete(self, cluster_id: str) -> None:
        """Stop a cluster with everything on it, and forget it.

        Raises:
            ApiError: There is no such cluster.
        """
        with self._lock:
            self.get(cluster_id)
            self._clusters.delete(cluster_id)
            self._stop(cluster_id)

    def _state(self, cluster_id: str) -> ClusterState:
        state = self._engine.pool.state(_key(cluster_id))
        restarting = state is ClusterState.PENDING and cluster_id in self._restarted
        return ClusterState.RESTARTING if restarting else state

    def _expect(self, cluster_id: str, *expected: ClusterState) -> ClusterState:
        state = self._state(cluster_id)
        if state not in expected:
            raise ApiError(
                400,
                "INVALID_STATE",
                f"Cluster {cluster_id} is in unexpected state {state.capitalize()}.",
            )
        return state

    def _restart(self, cluster_id: str) -> None:
        self._restarted.add(cluster_id)
        self._stop(cluster_id)
        self._engine.pool.begin(_key(cluster_id))

    def _stop(self, cluster_id: str) -> None:
        self._engine.lose_cluster(_key(cluster_id), _terminated_by_user(cluster_id))


def _key(cluster_id: str) -> ClusterKey:
    return ClusterKey(None, 0, cluster_id)


def _terminated_by_user(cluster_id: str) -> State:
    """Return the state of a task run whose cluster somebody has stopped."""
    return State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        f"Cluster '{cluster_id}' was terminated by a user during the run.",
        "CLUSTER_ERROR",
        "CLIENT_ERROR",
    )
