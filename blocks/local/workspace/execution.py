"""One attempt of a task that runs code or decides a condition, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from blocks.local.workspace import states
from blocks.local.workspace.clusters import ClusterKey, ClusterPool, LiveCluster, cluster_key
from blocks.local.workspace.environment import with_secrets
from blocks.local.workspace.executor import Executor
from blocks.local.workspace.faults.effects import Moment, TaskEnding
from blocks.local.workspace.git import GitError
from blocks.local.workspace.host import NotebookHost
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.installing import NotebookLibraries
from blocks.local.workspace.libraries import LibraryError, libraries_of
from blocks.local.workspace.notebook.contract import NotebookOutcome, NotebookRequest
from blocks.local.workspace.options import Options
from blocks.local.workspace.overlay import Pip
from blocks.local.workspace.processes import ProcessGroup
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.specs import ComputeKind, TaskKind, new_cluster
from blocks.local.workspace.states import State
from blocks.local.workspace.store import Store
from blocks.local.workspace.task_code import Code, code_of, decide


@dataclass(frozen=True)
class Services:
    """What every execution uses.

    Attributes:
        store: Notebooks are read from it, outputs written to it.
        executor: Makes the processes.
        clusters: The clusters that are up.
        identity: Of the workspace.
        pip: Installs libraries; None to record them only.
        options: How tasks are executed.
        slots: Of notebooks that may run at the same time.
    """

    store: Store
    executor: Executor
    clusters: ClusterPool
    identity: Identity
    pip: Pip | None
    options: Options
    slots: threading.Semaphore


class Execution:
    """Executes one attempt.

    Args:
        services: What it uses.
        run: The run.
        attempt: The attempt, which is ``PENDING``.
        fault: How it must end, if a fault strikes it.
        on_running: Called with the cluster's id, if it has one, when its work is about to start.
        on_ended: Called with the state in which the attempt ended.
        on_cluster_lost: Called when a fault takes the attempt's cluster, with the state in which
            everything on it ends.
    """

    def __init__(
        self,
        services: Services,
        run: Run,
        attempt: Attempt,
        fault: TaskEnding | None,
        on_running: Callable[[str | None], None],
        on_ended: Callable[[State], None],
        on_cluster_lost: Callable[[ClusterKey, State], None],
    ) -> None:
        self._services = services
        self._run = run
        self._attempt = attempt
        self._fault = fault
        self._on_running = on_running
        self._on_ended = on_ended
        self._on_cluster_lost = on_cluster_lost
        self._lost: State | None = None
        self._stopped = False
        self._processes = ProcessGroup(services.executor)
        self._thread = threading.Thread(
            target=self._execute, name=f"task-{attempt.run_id}", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def kill(self) -> None:
        """End the notebook's process, or keep it from starting."""
        self._processes.kill()

    def stop(self) -> None:
        """End it, because somebody or a time-out wants it to end."""
        self._stopped = True
        self.kill()

    def lose(self, state: State) -> None:
        """End it, because a fault took what it runs on."""
        self._lost = state
        self.kill()

    @property
    def cluster(self) -> ClusterKey:
        """The cluster that it runs on."""
        return cluster_key(self._run, self._attempt)

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, for some seconds at most."""
        self._thread.join(timeout)

    def _execute(self) -> None:
        ending = states.DRIVER_LOST
        try:
            ending = self._ending()
        finally:
            if self._lost is not None:
                ending = self._lost
                outcome = NotebookOutcome("lost", error=ending.message)
                self._services.store.outputs.save(self._attempt.run_id, outcome)
            self._on_ended(ending)

    def _ending(self) -> State:
        store, identity = self._services.store, self._services.identity
        task = self._attempt.task
        try:
            if task.kind is TaskKind.CONDITION:
                if self._strikes(Moment.STARTING):
                    self._on_running(None)
                    return self._struck()
                decide(store, identity, self._run, self._attempt)
                return states.SUCCEEDED
            code = code_of(store, identity, self._run, self._attempt)
        except GitError as error:
            return states.checkout_failed(str(error))
        except KeyError:
            return states.notebook_missing(task.path, identity.user_name)
        except ValueError as error:
            return states.invalid_configuration(str(error))
        return self._run_code(code)

    def _run_code(self, code: Code) -> State:
        services, task = self._services, self._attempt.task
        key = self.cluster
        try:
            variables = self._cluster_settings().get("spark_env_vars", {})
            environment = with_secrets(variables, services.store.secrets)
            cluster = services.clusters.acquire(key)
        except Exception as error:  # noqa: BLE001 (whatever it was, the task run shows it)
            return states.cluster_failed(str(error))
        try:
            self._processes.wait_until(cluster.usable_from)
            if self._strikes(Moment.INSTALLING):
                return self._struck()
            libraries = libraries_of(self._run.round.settings, task)
            cluster.libraries.add(libraries, self._processes.command)
            with self._processes.slot(services.slots), self._armed():
                self._on_running(cluster.cluster_id)
                if self._strikes(Moment.STARTING):
                    return self._struck()
                return self._run_notebook(code, cluster, environment)
        except LibraryError as error:
            if self._processes.killed:
                return states.DRIVER_LOST
            return states.library_failed(error.library, error.reason)
        finally:
            if task.compute.kind is ComputeKind.NEW_CLUSTER:
                services.clusters.release(self._run.run_id, key)

    def _cluster_settings(self) -> Mapping[str, Any]:
        compute = self._attempt.task.compute
        if compute.kind is not ComputeKind.EXISTING_CLUSTER:
            return new_cluster(self._run.round.settings, self._attempt.task)
        cluster = self._services.store.clusters.get(compute.name)
        return {} if cluster is None else cluster.settings

    def _run_notebook(
        self, code: Code, cluster: LiveCluster, environment: Mapping[str, str]
    ) -> State:
        services, folders = self._services, cluster.libraries.folders
        request = NotebookRequest(
            code.file,
            code.parameters,
            cluster.engine.remote,
            services.store.dbfs.root,
            self._context(),
            code.arguments,
            environment,
            services.options.shell_allowed,
            pip_installs=services.pip is not None,
            libraries=tuple(str(folder) for folder in folders),
        )
        own = NotebookLibraries(services.store, services.pip, folders)
        host = NotebookHost(
            services.store,
            self._processes,
            request,
            self._run,
            replace(self._attempt, cluster_id=cluster.cluster_id),
            code.source,
            self._attempt.task.key,
            own,
            self._ending_of_lost,
        )
        try:
            outcome = self._processes.run(request, host)
        finally:
            own.remove()
        services.store.outputs.save(self._attempt.run_id, outcome)
        return states.OF_OUTCOME[outcome.status]

    def _ending_of_lost(self) -> State:
        """Return how a notebook has ended whose process is gone."""
        if self._stopped:
            return states.TASK_CANCELED
        return states.DRIVER_LOST if self._lost is None else self._lost

    def _strikes(self, moment: Moment) -> bool:
        return self._fault is not None and self._fault.moment is moment

    def _struck(self) -> State:
        """Leave behind what the fault leaves in the place of the code's output."""
        if self._fault is None:
            raise RuntimeError("No fault has struck.")
        if self._fault.outcome is not None:
            self._services.store.outputs.save(self._attempt.run_id, self._fault.outcome)
        return self._fault.state

    @contextmanager
    def _armed(self) -> Iterator[None]:
        """Let the fault strike while the code runs, if it is one of that kind."""
        fault = self._fault
        if fault is None or fault.moment is not Moment.RUNNING:
            yield
            return
        timer = threading.Timer(fault.after, self._strike, [fault])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _strike(self, fault: TaskEnding) -> None:
        if fault.of_cluster:
            self._on_cluster_lost(self.cluster, fault.state)
        else:
            self.lose(fault.state)

    def _context(self) -> dict[str, str]:
        return {
            "job_id": str(self._run.job_id),
            "run_id": str(self._run.run_id),
            "task_run_id": str(self._attempt.run_id),
            "task_key": self._attempt.task.key,
            "attempt_number": str(self._attempt.number),
            "repair_count": str(self._attempt.round),
            "user_name": self._services.identity.user_name,
            "workspace_url": self._services.identity.url,
        }
