"""Run notebooks as one Databricks multi-task job: watch it, repair it, cancel it."""

from blocks.databricks.errors import (
    ApiError,
    DatabricksError,
    JobBusyError,
    JobSpecError,
    RepairError,
    RunLostError,
    UnreachableError,
)
from blocks.databricks.job import DatabricksJob
from blocks.databricks.repair import NoRepair, RepairPlan, RepairPolicy, plan_repair
from blocks.databricks.run import DatabricksRun, TaskFailure
from blocks.databricks.spec import NotebookTask
from blocks.databricks.state import HistoryItem, Outcome, RunState, Status, TaskAttempt

__all__ = [
    "ApiError",
    "DatabricksError",
    "DatabricksJob",
    "DatabricksRun",
    "HistoryItem",
    "JobBusyError",
    "JobSpecError",
    "NoRepair",
    "NotebookTask",
    "Outcome",
    "RepairError",
    "RepairPlan",
    "RepairPolicy",
    "RunLostError",
    "RunState",
    "Status",
    "TaskAttempt",
    "TaskFailure",
    "UnreachableError",
    "plan_repair",
]
