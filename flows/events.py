"""Events for automations: ``databricks.run.repaired`` and ``databricks.run.failed``.

The resource of both is ``databricks.run.<run id>``. Prefect adds the flow run and its deployment,
and sends events from a thread that the process waits for before it ends.

A flow run that is suspended until a person answers has no process, so nobody sends any of these
when the answer does not come in time: Prefect's server fails the flow run, and emits its own
``prefect.flow-run.Failed``.
"""

from collections.abc import Iterable
from typing import Any

from prefect import runtime
from prefect.events import emit_event

from blocks.databricks import RepairPolicy, RunState, TaskFailure, classify, make_receipt


def emit_repaired(state: RunState, repaired: Iterable[str], policy: RepairPolicy) -> None:
    """Tell that a run needed repairs and ended well.

    Args:
        state: The run as it ended.
        repaired: Task keys that were run again.
        policy: Tells what an hour of the job cluster costs.
    """
    receipt = make_receipt(state, policy.price_per_hour)
    _emit(
        "databricks.run.repaired",
        state,
        repaired=list(repaired),
        saved_seconds=receipt.saved_seconds,
        saved_money=receipt.saved_money if policy.price_per_hour else None,
    )


def emit_failed(
    state: RunState, reason: str, failures: Iterable[TaskFailure], policy: RepairPolicy
) -> None:
    """Tell that a run ended without success and is not repaired (again).

    Args:
        state: The run as it ended.
        reason: Why it is not repaired.
        failures: Why its tasks failed, without secrets.
        policy: Tells whose fault a failure is.
    """
    _emit(
        "databricks.run.failed",
        state,
        outcome=state.outcome.value,
        reason=reason,
        failed_tasks=[_describe(failure, policy) for failure in failures],
    )


def _describe(failure: TaskFailure, policy: RepairPolicy) -> dict[str, Any]:
    attempt = failure.attempt
    found = classify(attempt.status, failure.error, policy.failure_classes)
    return {
        "task_key": attempt.task_key,
        "attempt_number": attempt.attempt_number,
        "failure_class": found.value,
        "error": failure.error,
    }


def _emit(event: str, state: RunState, **payload: object) -> None:
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"databricks.run.{state.run_id}",
            "prefect.resource.name": f"{state.job_name}: run {state.run_id}",
        },
        payload={
            "run_id": state.run_id,
            "job_id": state.job_id,
            "job_name": state.job_name,
            "run_page_url": state.run_page_url,
            "flow_run_id": runtime.flow_run.id,
            "repairs": state.repairs,
            **payload,
        },
    )
