"""An executor whose notebooks do what their source says, without Spark: for tests of the engine.

A notebook's source is one word and perhaps an argument: ``ok``, ``exit VALUE``, ``fail MESSAGE``,
``lost``, ``wait`` (until it is killed or released), ``set NAME JSON``, ``call PATH``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blocks.local.workspace.clock import now
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.executor import Cluster, Notebook
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.notebook.contract import (
    CellOutput,
    Host,
    NotebookOutcome,
    NotebookRequest,
    Output,
)
from blocks.local.workspace.options import Options
from blocks.local.workspace.overlay import Pip
from blocks.local.workspace.repair import RepairChoice
from blocks.local.workspace.runs import Parameters, Run
from blocks.local.workspace.service import RunService
from blocks.local.workspace.settings import job_settings
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.objects import ObjectType, WorkspaceObject
from blocks.local.workspace.switches import Switches

IDENTITY = Identity("https://localhost:1")
SECONDS = 10.0


@dataclass
class ScriptedCluster:
    """A cluster that is only counted."""

    remote: str
    alive: bool = True

    def stop(self) -> None:
        self.alive = False


@dataclass
class ScriptedNotebook:
    """One execution of a scripted notebook."""

    request: NotebookRequest
    host: Host
    executor: ScriptedExecutor
    ended: threading.Event = field(default_factory=threading.Event)
    killed: bool = False

    def start(self) -> None:
        self.executor.started.append(self)

    def wait(self, timeout: float | None = None) -> NotebookOutcome:
        word, _, argument = self.request.notebook.content.partition(" ")
        output = Output("text/plain", argument)
        cell = CellOutput(0, "", "python", self.request.notebook.content, (output,), 1, 2)
        if word == "wait" and not self.ended.wait(timeout or SECONDS):
            raise TimeoutError
        if word == "call":
            self.host.run_notebook(argument, 0, {})
        if self.killed or word == "lost":
            return NotebookOutcome("lost")
        if word == "fail":
            return NotebookOutcome("failed", error=argument, error_trace=argument, cells=(cell,))
        if word == "set":
            self.host.set_task_value(*argument.split(" ", 1))
        result = argument if word == "exit" else None
        return NotebookOutcome("succeeded", result=result, cells=(cell,))

    def kill(self) -> None:
        self.killed = True
        self.ended.set()


@dataclass
class ScriptedExecutor:
    """Remembers what it started; clusters wait while ``clusters_start`` is not set."""

    clusters: list[ScriptedCluster] = field(default_factory=list)
    started: list[ScriptedNotebook] = field(default_factory=list)
    clusters_start: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.clusters_start.set()

    def prepare(self) -> None: ...

    def start_cluster(self) -> Cluster:
        assert self.clusters_start.wait(SECONDS)
        cluster = ScriptedCluster(f"sc://{len(self.clusters)}")
        self.clusters.append(cluster)
        return cluster

    def notebook(self, request: NotebookRequest, host: Host) -> Notebook:
        return ScriptedNotebook(request, host, self)


def task(key: str, *after: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a task whose notebook is ``/<key>``."""
    return {
        "task_key": key,
        "notebook_task": {"notebook_path": f"/{key}"},
        "job_cluster_key": "main",
        "depends_on": [{"task_key": upstream} for upstream in after],
        **settings,
    }


def job(*tasks: Mapping[str, Any], queue: bool = True, **settings: Any) -> dict[str, Any]:
    """Return the checked settings of a job."""
    cluster = {"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}
    values = {"name": "wf", "tasks": list(tasks), "job_clusters": [cluster], **settings}
    return job_settings(values, queue_default=queue)


@dataclass
class Bench:
    """Store, engine and service in this process."""

    store: Store
    engine: Engine
    runs: RunService
    executor: ScriptedExecutor

    @classmethod
    @contextmanager
    def on(
        cls,
        database: Path,
        switches: Switches | None = None,
        faults: FaultBook | None = None,
        options: Options | None = None,
        pip: Pip | None = None,
    ) -> Iterator[Bench]:
        store = Store(database)
        executor = ScriptedExecutor()
        switches = switches or Switches()
        engine = Engine(
            store,
            executor,
            IDENTITY,
            pip=pip,
            due_fault=(faults or FaultBook()).for_task,
            options=options,
            switches=switches,
        )
        engine.start()
        try:
            yield cls(store, engine, RunService(store, engine, switches), executor)
        finally:
            engine.close()
            store.close()

    def notebook(self, name: str, script: str) -> None:
        """Put a scripted notebook into the workspace."""
        item = WorkspaceObject(f"/{name}", ObjectType.NOTEBOOK, script.encode(), "PYTHON", "SOURCE")
        self.store.objects.put(item, now())

    def create(self, settings: Mapping[str, Any], **scripts: str) -> int:
        """Create a job; tasks without a script get one that succeeds."""
        for item in settings["tasks"]:
            self.notebook(item["task_key"], scripts.get(item["task_key"], "ok"))
        return self.store.jobs.add(settings, now())

    def run(self, job_id: int, **parameters: str) -> int:
        return self.runs.run_now(job_id, Parameters(parameters))

    def repair(self, run_id: int, *keys: str, **choice: Any) -> int:
        latest = self.runs.run(run_id).round.repair_id
        choice = {"latest_repair_id": latest, "rerun_tasks": keys, **choice}
        return self.runs.repair(run_id, RepairChoice(**choice), Parameters())

    def execution(self, number: int) -> ScriptedNotebook:
        """Wait for the start of the n-th notebook, counted from 0, and return it."""
        deadline = time.monotonic() + SECONDS
        while len(self.executor.started) <= number:
            assert time.monotonic() < deadline, "The notebook did not start."
            time.sleep(0.002)
        return self.executor.started[number]

    def until(self, run_id: int, condition: Callable[[Run], bool]) -> Run:
        """Wait until a run is as it should be."""
        deadline = time.monotonic() + SECONDS
        while not condition(run := self.runs.run(run_id)):
            assert time.monotonic() < deadline, results(run)
            time.sleep(0.002)
        return run

    def finished(self, run_id: int) -> Run:
        return self.until(run_id, lambda run: run.state.terminal)


def results(run: Run) -> dict[str, list[str | None]]:
    """Return the results of the attempts of each task, in order."""
    shown: dict[str, list[str | None]] = {}
    for attempt in run.attempts:
        shown.setdefault(attempt.task.key, []).append(attempt.state.result)
    return shown


def life_cycles(run: Run) -> dict[str, str]:
    """Return where the current attempt of each task stands."""
    return {key: attempt.state.life_cycle for key, attempt in run.latest.items()}
