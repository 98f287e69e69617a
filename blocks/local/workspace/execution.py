"""One attempt of a notebook task, from its cluster to its outcome, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blocks.local.workspace import states
from blocks.local.workspace.clusters import ClusterPool, cluster_key
from blocks.local.workspace.executor import Executor, Notebook
from blocks.local.workspace.host import NotebookHost, read_notebook
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.notebook.contract import Host, NotebookOutcome, NotebookRequest
from blocks.local.workspace.parameters import job_parameters, notebook_parameters
from blocks.local.workspace.references import UnknownReferenceError, reference_values
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.specs import ComputeKind
from blocks.local.workspace.states import State
from blocks.local.workspace.store import Store

_LOST = NotebookOutcome(status="lost")


@dataclass(frozen=True)
class Services:
    """What every execution uses.

    Attributes:
        store: Notebooks are read from it, outputs written to it.
        executor: Makes the processes.
        clusters: The clusters that are up.
        identity: Of the workspace.
    """

    store: Store
    executor: Executor
    clusters: ClusterPool
    identity: Identity


class Execution:
    """Executes one attempt.

    Args:
        services: What it uses.
        run: The run.
        attempt: The attempt, which is ``PENDING``.
        on_running: Called with the cluster's id when the notebook is about to start.
        on_ended: Called with the state in which the attempt ended.
    """

    def __init__(
        self,
        services: Services,
        run: Run,
        attempt: Attempt,
        on_running: Callable[[str], None],
        on_ended: Callable[[State], None],
    ) -> None:
        self._services = services
        self._run = run
        self._attempt = attempt
        self._on_running = on_running
        self._on_ended = on_ended
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

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, for some seconds at most."""
        self._thread.join(timeout)

    def _execute(self) -> None:
        ending = states.DRIVER_LOST
        try:
            ending = self._ending()
        finally:
            self._on_ended(ending)

    def _ending(self) -> State:
        store, identity = self._services.store, self._services.identity
        task = self._attempt.task.settings["notebook_task"]
        try:
            notebook = read_notebook(store.objects, task["notebook_path"])
        except KeyError:
            return states.notebook_missing(task["notebook_path"], identity.user_name)
        try:
            parameters = self._parameters(task.get("base_parameters", {}))
        except UnknownReferenceError as error:
            return states.invalid_configuration(str(error))
        key = cluster_key(self._run, self._attempt)
        try:
            cluster = self._services.clusters.acquire(key)
        except Exception as error:  # noqa: BLE001 (whatever it was, the task run shows it)
            return states.cluster_failed(str(error))
        try:
            self._on_running(cluster.cluster_id)
            request = NotebookRequest(notebook, parameters, cluster.engine.remote, self._context())
            host = NotebookHost(
                store, self._processes.run, request, self._run.run_id, self._attempt
            )
            outcome = self._processes.run(request, host)
        finally:
            if self._attempt.task.compute.kind is ComputeKind.NEW_CLUSTER:
                self._services.clusters.release(self._run.run_id, key)
        store.outputs.save(self._attempt.run_id, outcome)
        return {
            "succeeded": states.SUCCEEDED,
            "failed": states.WORKLOAD_FAILED,
            "lost": states.DRIVER_LOST,
        }[outcome.status]

    def _parameters(self, base_parameters: Mapping[str, str]) -> dict[str, str]:
        current = self._run.round
        task_values = self._services.store.outputs.task_values(self._run.run_id)
        return notebook_parameters(
            base_parameters,
            current.parameters.overriding.get("notebook_params", {}),
            {
                item["name"]: item["value"]
                for item in job_parameters(current.settings, current.parameters.job)
            },
            reference_values(self._run, self._attempt, task_values, self._services.identity),
        )

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


class ProcessGroup:
    """The process of a notebook and those of the notebooks that it runs; they end together.

    Args:
        executor: Makes the processes.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._killed = False
        self._processes: list[Notebook] = []

    def run(
        self, request: NotebookRequest, host: Host, timeout: float | None = None
    ) -> NotebookOutcome:
        """Run a notebook to its end.

        Raises:
            TimeoutError: It took longer than ``timeout`` seconds; it has been ended.
        """
        process = self._executor.notebook(request, host)
        with self._lock:
            if self._killed:
                return _LOST
            process.start()
            self._processes.append(process)
        try:
            return process.wait(timeout)
        except TimeoutError:
            process.kill()
            raise
        finally:
            with self._lock:
                self._processes.remove(process)

    def kill(self) -> None:
        """End all of them, and keep others from starting."""
        with self._lock:
            self._killed = True
            processes = list(self._processes)
        for process in processes:
            process.kill()
