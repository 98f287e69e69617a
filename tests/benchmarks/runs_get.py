"""How long ``runs/get`` takes with 10,000 runs stored, and what finished runs cost in memory.

Run it with ``python -m tests.benchmarks.runs_get``. A workspace is started on a store of 10,000
finished runs of 5 tasks, a tenth of them repaired once. Then, over HTTPS on one connection:

* ``runs/get`` of runs chosen at random, with and without their history;
* ``runs/list``, for comparison;
* the resident memory of the server before and after it ran 3,000 more runs to their end, a third
  at a time. Their notebook does not exist, so that no Spark engine is measured.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from blocks.local.workspace import states
from blocks.local.workspace.launch import first_attempts
from blocks.local.workspace.runs import Parameters, Round, Run, RunType
from blocks.local.workspace.settings import job_settings
from blocks.local.workspace.specs import task_specs
from blocks.local.workspace.store import Store
from blocks.local.workspace.testing import running_workspace

RUNS, CALLS, MORE_RUNS = 10_000, 2_000, 3_000
TASKS = "abcde"
LIMIT_MILLISECONDS = 10.0
API = "/api/2.2/jobs"


def settings() -> dict[str, Any]:
    """Return the settings of a job of five tasks, one after the other."""
    tasks = [
        {
            "task_key": key,
            "notebook_task": {"notebook_path": f"/missing/{key}"},
            "depends_on": [{"task_key": before}] if before else [],
            "job_cluster_key": "main",
        }
        for before, key in zip(["", *TASKS], TASKS, strict=False)
    ]
    cluster = {"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}
    values = {"name": "benchmark", "tasks": tasks, "job_clusters": [cluster]}
    return job_settings(values, queue_default=False)


def fill(database: Path) -> list[int]:
    """Store finished runs and return their ids."""
    store = Store(database)
    chosen = settings()
    job_id = store.jobs.add(chosen, 1)
    specs = task_specs(chosen)
    ids = []
    with store.transaction():
        for number in range(RUNS):
            run_id = store.new_id()
            attempts = tuple(
                replace(item, state=states.SUCCEEDED, started=1, executing=2, ended=3)
                for item in first_attempts(specs, specs, store.new_id)
            )
            rounds = [Round(0, None, states.SUCCEEDED, chosen, Parameters(), 1, 1, 3)]
            if number % 10 == 0:
                rounds.append(replace(rounds[0], position=1, repair_id=store.new_id()))
            store.runs.add(
                Run(
                    *(run_id, job_id, RunType.JOB_RUN, "benchmark", states.SUCCEEDED, 1, 3),
                    *(tuple(rounds), attempts),
                )
            )
            ids.append(run_id)
    store.close()
    return ids


def measure(name: str, client: httpx.Client, path: str, queries: list[dict[str, Any]]) -> float:
    """Print and return the median, in milliseconds, of some requests."""
    taken = []
    for query in queries:
        begun = time.perf_counter()
        client.get(f"{API}/{path}", params=query).raise_for_status()
        taken.append((time.perf_counter() - begun) * 1000)
    middle, late = median(taken), quantiles(taken, n=100)[98]
    print(f"{name:<40} median {middle:6.2f} ms   99th percentile {late:6.2f} ms")
    return middle


def run_more(client: httpx.Client, count: int) -> None:
    """Run a job of one task to its end, many times."""
    task = {"task_key": "a", "notebook_task": {"notebook_path": "/missing"}}
    body = {"tasks": [task], "max_concurrent_runs": 1000}
    job_id = client.post(f"{API}/create", json=body).raise_for_status().json()["job_id"]
    for _ in range(count):
        client.post(f"{API}/run-now", json={"job_id": job_id}).raise_for_status()
    active = {"active_only": "true", "limit": "1"}
    while client.get(f"{API}/runs/list", params=active).json().get("runs"):
        time.sleep(0.05)


def main() -> int:
    """Measure, print, and return 1 if ``runs/get`` is too slow."""
    chooser = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = fill(folder / "workspace.db")
        print(f"{RUNS} runs of {len(TASKS)} tasks stored")
        with running_workspace(folder) as workspace, workspace.client() as client:
            queries = [{"run_id": chooser.choice(ids)} for _ in range(CALLS)]
            middle = measure("runs/get", client, "runs/get", queries)
            history = [{**query, "include_history": "true"} for query in queries]
            measure("runs/get with its history", client, "runs/get", history)
            measure("runs/list of 25 runs", client, "runs/list", [{"limit": 25}] * 100)
            server = psutil.Process(workspace.pid)
            for done in range(0, MORE_RUNS + 1, MORE_RUNS // 3):
                memory = server.memory_info().rss / 2**20
                print(f"memory of the server after {done:5d} more runs: {memory:6.1f} MiB")
                if done < MORE_RUNS:
                    run_more(client, MORE_RUNS // 3)
    return int(middle >= LIMIT_MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
