"""Definitions of jobs for tests."""

from __future__ import annotations

from typing import Any

from blocks.databricks import NotebookTask
from blocks.databricks.spec import JobSpec


def make_task(key: str, **fields: Any) -> NotebookTask:
    return NotebookTask.model_validate({"task_key": key, "notebook": f"{key}.py", **fields})


def make_spec(*tasks: NotebookTask, **fields: Any) -> JobSpec:
    return JobSpec.model_validate({"job_name": "j", "tasks": tasks, **fields})
