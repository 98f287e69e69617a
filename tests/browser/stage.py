"""Jobs and runs for the browser to look at, made through the API."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from blocks.local.workspace.testing import RunningWorkspace

LOAD = """# Databricks notebook source
# MAGIC %md
# MAGIC # Load
# MAGIC Reads **three** sources and shows what is in them.

# COMMAND ----------
# DBTITLE 1,What was read
import pandas as pd

frame = pd.DataFrame({"Year": range(2000, 2012), "Solar": [n / 7 for n in range(12)]})
print(f"{len(frame)} rows")

# COMMAND ----------
display(frame)

# COMMAND ----------
displayHTML(
    "<p id='note'>harmless</p>"
    "<script>document.getElementById('note').textContent = 'script ran';"
    "parent.document.title = 'taken over'</script>"
)

# COMMAND ----------
dbutils.notebook.exit('{"rows": 12}')
"""
TRANSFORM = """# Databricks notebook source
from pathlib import Path

dbutils.widgets.text("gate", "")
dbutils.widgets.text("mood", "good")
print("transforming")

# COMMAND ----------
import time

while dbutils.widgets.get("mood") == "wait" and not Path(dbutils.widgets.get("gate")).exists():
    time.sleep(0.05)

# COMMAND ----------
# DBTITLE 1,The share of each source
def share(mood):
    if mood == "fail":
        raise ValueError("The column Solar is missing from /data/joined: was it renamed?")
    return 1.0

share(dbutils.widgets.get("mood"))

# COMMAND ----------
print("never reached after a failure")
"""
_AFTER = {
    "load_solar": [],
    "load_wind": [],
    "transform": ["load_solar", "load_wind"],
    "publish_the_result_for_everybody": ["transform"],
}


@dataclass(frozen=True)
class Stage:
    """A workspace with a job of four tasks.

    Attributes:
        workspace: Where it is.
        client: Client of its API.
        job_id: The job; its parameter ``mood`` is ``good``, ``fail`` or ``wait``.
        gate: File whose appearance ends the waiting.
    """

    workspace: RunningWorkspace
    client: httpx.Client
    job_id: int
    gate: Path

    def post(self, path: str, /, **body: Any) -> Any:
        return _post(self.client, path, **body)

    def run(self, run_id: int) -> Any:
        return self.client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()

    def start(self, mood: str) -> int:
        parameters = {"mood": mood, "gate": str(self.gate)}
        answer = self.post("2.2/jobs/run-now", job_id=self.job_id, job_parameters=parameters)
        return int(answer["run_id"])

    def ended(self, run_id: int) -> Any:
        while not (run := self.run(run_id))["end_time"]:
            time.sleep(0.05)
        return run

    def running(self, run_id: int, key: str) -> int:
        """Wait until a task is running and return its task run's id."""
        while True:
            for task in self.run(run_id)["tasks"]:
                running = task["state"]["life_cycle_state"] == "RUNNING"
                if task["task_key"] == key and running:
                    return int(task["run_id"])
            time.sleep(0.05)

    def task_run(self, run_id: int, key: str) -> int:
        """Return the id of the latest task run of a key."""
        found = [task for task in self.run(run_id)["tasks"] if task["task_key"] == key]
        return int(max(found, key=lambda task: int(task["attempt_number"]))["run_id"])

    def repaired(self) -> int:
        """Return a run that failed and then succeeded."""
        run_id = self.start("fail")
        self.ended(run_id)
        parameters = {"mood": "good"}
        self.post(
            "2.2/jobs/runs/repair",
            run_id=run_id,
            rerun_all_failed_tasks=True,
            job_parameters=parameters,
        )
        self.ended(run_id)
        return run_id


def prepare(workspace: RunningWorkspace, client: httpx.Client, gate: Path) -> Stage:
    """Put the notebooks and the job into a workspace."""
    for name, source in (("load", LOAD), ("transform", TRANSFORM)):
        _post(
            client,
            "2.0/workspace/import",
            path=f"/{name}",
            language="PYTHON",
            content=base64.b64encode(source.encode()).decode(),
        )
    tasks = [
        {
            "task_key": key,
            "notebook_task": {"notebook_path": "/transform" if key == "transform" else "/load"},
            "depends_on": [{"task_key": upstream} for upstream in after],
            "job_cluster_key": "main",
        }
        for key, after in _AFTER.items()
    ]
    cluster = {"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}
    parameters = [{"name": "mood", "default": "good"}, {"name": "gate", "default": ""}]
    job = _post(
        client,
        "2.2/jobs/create",
        name="renewables, every morning",
        tasks=tasks,
        job_clusters=[cluster],
        parameters=parameters,
    )
    return Stage(workspace, client, job["job_id"], gate)


def _post(client: httpx.Client, path: str, /, **body: Any) -> Any:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
