"""What ``renewables run --json`` prints about a flow run."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from blocks.databricks import RunState
from flows.databricks import DatabricksRunFailedError
from flows.renewable_analysis import Analysis


def run_report(country: str, state: State[Any]) -> dict[str, Any]:
    """Return what a flow run of ``renewable-analysis`` gave, as plain JSON values.

    Args:
        country: The country that was asked for.
        state: The flow run's final state.
    """
    outcome = state.result(raise_on_failure=False)
    result = outcome if isinstance(outcome, Analysis) else None
    run = result and result.databricks
    if isinstance(outcome, DatabricksRunFailedError):
        run = outcome.state
    return {
        "state": state.name,
        "error": None if result else str(outcome or state.message),
        "country": country,
        "years": list(result.years) if result else [],
        "chart": str(result.chart) if result else None,
        "data": str(result.data) if result else None,
        "flow_run_id": str(state.state_details.flow_run_id),
        "databricks": run and _databricks_report(run),
    }


def _databricks_report(run: RunState) -> dict[str, Any]:
    return {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "run_page_url": run.run_page_url,
        "repairs": run.repairs,
        "attempts": [
            {
                "task_key": attempt.task_key,
                "attempt_number": attempt.attempt_number,
                "run_id": attempt.run_id,
                "result_state": attempt.status.result_state,
                "seconds": attempt.seconds,
            }
            for attempt in sorted(run.attempts, key=lambda a: (a.task_key, a.attempt_number))
        ],
    }
