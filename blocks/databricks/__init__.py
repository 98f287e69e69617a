"""Run notebooks as one Databricks multi-task job: watch it, repair it, cancel it."""

from blocks.databricks.cluster import ClusterChanges, change_clusters
from blocks.databricks.drift import differences
from blocks.databricks.errors import (
    ApiError,
    CredentialsError,
    DatabricksError,
    JobBusyError,
    JobSpecError,
    RepairError,
    RunLostError,
    UnreachableError,
)
from blocks.databricks.failures import FailureClass, Symptom, classify
from blocks.databricks.job import DatabricksJob
from blocks.databricks.patience import Patience
from blocks.databricks.plan import NoRepair, RepairPlan, cluster_changes, plan_repair
from blocks.databricks.policy import RepairPolicy, WhenExhausted
from blocks.databricks.receipt import Receipt, make_receipt
from blocks.databricks.rounds import repaired_tasks
from blocks.databricks.run import DatabricksRun, Launch, TaskFailure
from blocks.databricks.spec import AccessControl, GitSource, NotebookTask, RunAs
from blocks.databricks.state import HistoryItem, Outcome, RunState, Status, TaskAttempt

__all__ = [
    "AccessControl",
    "ApiError",
    "ClusterChanges",
    "CredentialsError",
    "DatabricksError",
    "DatabricksJob",
    "DatabricksRun",
    "FailureClass",
    "GitSource",
    "HistoryItem",
    "JobBusyError",
    "JobSpecError",
    "Launch",
    "NoRepair",
    "NotebookTask",
    "Outcome",
    "Patience",
    "Receipt",
    "RepairError",
    "RepairPlan",
    "RepairPolicy",
    "RunAs",
    "RunLostError",
    "RunState",
    "Status",
    "Symptom",
    "TaskAttempt",
    "TaskFailure",
    "UnreachableError",
    "WhenExhausted",
    "change_clusters",
    "classify",
    "cluster_changes",
    "differences",
    "make_receipt",
    "plan_repair",
    "repaired_tasks",
]
