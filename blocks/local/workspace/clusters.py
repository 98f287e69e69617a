"""The clusters that are up, and who shares them."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from blocks.local.workspace.executor import Cluster
from blocks.local.workspace.installing import ClusterLibraries
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.specs import ComputeKind


@dataclass(frozen=True)
class ClusterKey:
    """What makes two tasks share a cluster: an equal key.

    Attributes:
        run_id: The run that the cluster belongs to; None for one that outlives runs.
        round: The round of that run: a repair gets new clusters.
        name: Which of the clusters of that round, or the id of an existing cluster.
    """

    run_id: int | None
    round: int
    name: str


class ClusterState(StrEnum):
    """Where a cluster stands; the ways down take no time here."""

    PENDING = "PENDING"
    RESTARTING = "RESTARTING"
    RUNNING = "RUNNING"
    TERMINATED = "TERMINATED"


@dataclass(frozen=True)
class LiveCluster:
    """A cluster that is up.

    Attributes:
        cluster_id: As the API shows it.
        engine: Its Spark engine.
        libraries: What was asked for on it, and perhaps installed.
        usable_from: When tasks can use it, on the monotonic clock.
    """

    cluster_id: str
    engine: Cluster
    libraries: ClusterLibraries
    usable_from: float


def cluster_key(run: Run, attempt: Attempt) -> ClusterKey:
    """Return the key of the cluster that an attempt runs on."""
    compute = attempt.task.compute
    match compute.kind:
        case ComputeKind.EXISTING_CLUSTER:
            return ClusterKey(None, 0, compute.name)
        case ComputeKind.NEW_CLUSTER:
            return ClusterKey(run.run_id, attempt.round, f"{compute.kind}:{attempt.run_id}")
        case ComputeKind.JOB_CLUSTER | ComputeKind.SERVERLESS:
            return ClusterKey(run.run_id, attempt.round, f"{compute.kind}:{compute.name}")


class ClusterPool:
    """Starts a cluster for the first task that needs it and stops it with its round.

    Args:
        start: Starts an engine and returns it when it is up.
        new_libraries: Makes the libraries of a cluster, of which there are none yet.
        start_seconds: How long a cluster takes from its request until tasks can use it, at least.
    """

    def __init__(
        self,
        start: Callable[[], Cluster],
        new_libraries: Callable[[], ClusterLibraries],
        start_seconds: float = 0,
    ) -> None:
        self._start = start
        self._new_libraries = new_libraries
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._clusters: dict[ClusterKey, Future[LiveCluster]] = {}

    def acquire(self, key: ClusterKey) -> LiveCluster:
        """Return the cluster of a key; start it, or wait for whoever is starting it.

        Raises:
            Exception: Whatever kept it from starting.
        """
        return self.begin(key).result()

    def begin(self, key: ClusterKey) -> Future[LiveCluster]:
        """Start the cluster of a key, if it is not up and nobody is starting it."""
        with self._lock:
            future = self._clusters.get(key)
            if future is not None and not _dead(future):
                return future
            future = self._clusters[key] = Future()
        threading.Thread(
            target=self._bring_up, args=(key, future), name=f"cluster-{key.name}", daemon=True
        ).start()
        return future

    def _bring_up(self, key: ClusterKey, future: Future[LiveCluster]) -> None:
        usable_from = time.monotonic() + self._start_seconds
        try:
            engine = self._start()
        except BaseException as error:  # noqa: BLE001 (whoever waits for the cluster gets it)
            future.set_exception(error)
            return
        libraries = self._new_libraries()
        cluster_id = key.name if key.run_id is None else new_cluster_id()
        future.set_result(LiveCluster(cluster_id, engine, libraries, usable_from))

    def state(self, key: ClusterKey) -> ClusterState:
        """Return where the cluster of a key stands."""
        with self._lock:
            future = self._clusters.get(key)
        if future is None or _dead(future):
            return ClusterState.TERMINATED
        if not future.done() or time.monotonic() < future.result().usable_from:
            return ClusterState.PENDING
        return ClusterState.RUNNING

    def release(self, run_id: int, key: ClusterKey | None = None) -> None:
        """Stop one cluster of a run, or all of them; clusters that outlive runs stay."""
        with self._lock:
            keys = [known for known in self._clusters if known.run_id == run_id]
            chosen = keys if key is None else [known for known in keys if known == key]
            futures = [self._clusters.pop(known) for known in chosen]
        _stop(futures)

    def lose(self, key: ClusterKey) -> None:
        """Stop one cluster, whoever is using it; the next task that needs it starts a new one."""
        with self._lock:
            futures = [self._clusters.pop(key)] if key in self._clusters else []
        _stop(futures)

    def live(self) -> list[LiveCluster]:
        """Return the clusters that are up."""
        with self._lock:
            futures = list(self._clusters.values())
        return [future.result() for future in futures if future.done() and not _dead(future)]

    def close(self) -> None:
        """Stop every cluster."""
        with self._lock:
            futures = list(self._clusters.values())
            self._clusters.clear()
        _stop(futures)


def _dead(future: Future[LiveCluster]) -> bool:
    if not future.done():
        return False
    return future.exception() is not None or not future.result().engine.alive


def _stop(futures: list[Future[LiveCluster]]) -> None:
    for future in futures:
        if future.exception() is None:
            cluster = future.result()
            cluster.engine.stop()
            cluster.libraries.remove()


def new_cluster_id() -> str:
    """Return an id in the form of the cloud's: date, time and eight random characters."""
    alphabet = string.ascii_lowercase + string.digits
    suffix = "".join(secrets.choice(alphabet) for _ in range(8))
    return f"{datetime.now(UTC):%m%d-%H%M%S}-{suffix}"
