"""What Prefect shows of a Databricks run: its link, its tasks, its errors, its receipt."""

from uuid import UUID

from prefect import runtime
from prefect.artifacts import (
    TableArtifact,
    create_link_artifact,
    create_markdown_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.logging import get_run_logger

from blocks.databricks import RunState, TaskFailure, make_receipt


def report_link(state: RunState, job_name: str) -> None:
    """Publish where the run is."""
    create_link_artifact(
        link=state.run_page_url,
        link_text=f"{job_name}: run {state.run_id}",
        key=f"databricks-run-{state.run_id}",
        description="The Databricks job run of this flow run.",
    )


def report_tasks(state: RunState) -> None:
    """Publish a table of all attempts as they are now; the flow run has one, which is kept up."""
    table = TableArtifact(
        table=[
            {
                "task": attempt.task_key,
                "attempt": attempt.attempt_number,
                "state": attempt.outcome.value,
                "seconds": round(attempt.seconds, 1),
            }
            for attempt in sorted(
                state.attempts, key=lambda a: (a.start_time or float("inf"), a.attempt_number)
            )
        ],
        key=f"databricks-tasks-{state.run_id}",
        description=f"Tasks of Databricks run {state.run_id}: {state.run_page_url}",
    )
    before = ArtifactFilter(
        key=ArtifactFilterKey(any_=[table.key]),
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(runtime.flow_run.id)]),
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=before, limit=1)
        if found:
            client.update_artifact(found[0].id, ArtifactUpdate(data=table.format()))
        else:
            table.create()


def report_failure(failure: TaskFailure) -> None:
    """Publish why an attempt failed, with the end of its trace."""
    attempt = failure.attempt
    # Four backticks: a trace may hold three.
    trace = f"````text\n{failure.trace or failure.error}\n````"
    create_markdown_artifact(
        f"# {attempt.task_key} failed\n\n{trace}\n\n{attempt.run_page_url}",
        key=f"databricks-error-{attempt.run_id}",
        description=f"{attempt.task_key}, attempt {attempt.attempt_number}: {failure.error}",
    )


def report_receipt(state: RunState, price_per_hour: float) -> None:
    """Log and publish what the repairs of a run ran again, reused and saved."""
    receipt = make_receipt(state, price_per_hour)
    # First, because the log does without the Prefect API.
    get_run_logger().info("%s %s", receipt.as_sentence(), state.run_page_url)
    create_markdown_artifact(
        f"# Repairs of run {state.run_id}\n\n{receipt.as_markdown()}\n{state.run_page_url}",
        key=f"databricks-receipt-{state.run_id}",
        description="What the repairs ran again, what they reused, and what that saved.",
    )
