"""Drives one Databricks job run from within a flow: start or adopt, watch, repair, cancel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from prefect import Flow, runtime
from prefect.artifacts import create_link_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from blocks.databricks import (
    ApiError,
    DatabricksError,
    DatabricksJob,
    DatabricksRun,
    NoRepair,
    Outcome,
    RepairPolicy,
    RunState,
    TaskAttempt,
    TaskFailure,
    plan_repair,
)
from flows.connections import Connections
from flows.mirrors import Mirrors

# The flow run's label that names its Databricks run; every process can read it.
_RUN_LABEL = "databricks.run_id"


class DatabricksRunFailedError(DatabricksError):
    """The job run ended without success and was not repaired (again).

    Attributes:
        state: The run as it ended.
    """

    def __init__(self, state: RunState, reason: str, failures: list[TaskFailure]) -> None:
        causes = "; ".join(
            f"{failure.attempt.task_key} failed: {failure.error}" for failure in failures
        )
        super().__init__(
            f"Databricks run {state.run_id} ended as {state.outcome.value} and was not repaired: "
            f"{reason}. {causes or state.status.message} — {state.run_page_url}"
        )
        self.state = state


@dataclass(frozen=True)
class JobOutcome:
    """A job run that ended well.

    Attributes:
        state: The run as it ended, with every attempt.
        results: What each notebook gave to ``dbutils.notebook.exit``, by task key.
        repaired: Task keys that had to be run again, in the order of the repairs.
        task_runs: The Prefect task runs of the attempts that count, for those that come after.
    """

    state: RunState
    results: Mapping[str, str]
    repaired: tuple[str, ...]
    task_runs: tuple[PrefectFuture[Any], ...]


def describe(attempt: TaskAttempt, failure: TaskFailure | None) -> str:
    """Return one line for the log: what became of an attempt."""
    line = f"{attempt.task_key}: {attempt.outcome.value}"
    if attempt.outcome.ended and not attempt.outcome.victim:
        line += f" after {attempt.seconds:.1f} s"
    if failure:
        line += f": {failure.error}"
    return (
        line if attempt.outcome.ok or not attempt.start_time else f"{line} {attempt.run_page_url}"
    )


def run_job(
    job: DatabricksJob,
    parameters: Mapping[str, str],
    policy: RepairPolicy,
    after: Iterable[object],
) -> JobOutcome:
    """Run a job to its end from within a flow, repairing what fails.

    A flow run that is retried, or restarted after a crash, adopts the job run that it started
    before: it goes on watching one that is alive, and repairs one that failed.

    Args:
        job: The job.
        parameters: Values for its job parameters.
        policy: How often failed tasks are run again; the budget counts from this call.
        after: Futures or results of the task runs that the job's first tasks follow in the graph.

    Raises:
        DatabricksRunFailedError: The run ended without success.
        DatabricksError: The run could not be started, watched or repaired; it was cancelled.
    """
    logger = get_run_logger()
    with _start_or_adopt(job, parameters) as run, Mirrors(after) as mirrors:
        repaired: list[str] = []
        repairs_before = run.state.repairs
        try:
            _remember(run, job.job_name)
            while True:
                _watch(run, mirrors)
                plan = plan_repair(run.state, policy, repairs_before)
                if isinstance(plan, NoRepair):
                    break
                logger.warning("Repairing run %d: %s", run.run_id, ", ".join(plan.task_keys))
                mirrors.repair(run, plan)
                repaired += plan.task_keys
        except BaseException:
            _cancel(run)
            raise
        if not run.state.outcome.ok:
            failures = [run.failure(attempt) for attempt in run.state.causes]
            raise DatabricksRunFailedError(run.state, plan.reason, failures)
        return JobOutcome(run.state, run.fetch_result(), tuple(repaired), mirrors.latest)


def databricks_run_id(flow_run: FlowRun) -> int | None:
    """Return the id of the job run that belongs to a flow run, None when it started none."""
    label = flow_run.labels.get(_RUN_LABEL)
    return None if label is None else int(label)


def cancel_job_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow with a parameter ``connections``: cancel what a cancelled run left alive.

    The flow cancels its job run itself when it is stopped. This is the second line, in another
    process, for a flow process that was killed before it could.
    """
    with get_client(sync_client=True) as client:
        run_id = databricks_run_id(client.read_flow_run(flow_run.id))
    if run_id is None:
        return
    connections = Connections.model_validate(flow_run.parameters.get("connections") or {})
    with connections.load_databricks_job().attach(run_id) as job_run:
        job_run.cancel()


def _start_or_adopt(job: DatabricksJob, parameters: Mapping[str, str]) -> DatabricksRun:
    logger = get_run_logger()
    flow_run_id = UUID(runtime.flow_run.id)
    with get_client(sync_client=True) as client:
        before = databricks_run_id(client.read_flow_run(flow_run_id))
    if before is not None:
        adopted = _adopt(job, before, parameters)
        if adopted is not None:
            logger.info("Going on with Databricks run %d", before)
            return adopted
    # The token is the same for every process that gets here, so they all start the same run.
    return job.trigger(parameters, f"prefect-{uuid5(flow_run_id, str(before))}")


def _adopt(job: DatabricksJob, run_id: int, parameters: Mapping[str, str]) -> DatabricksRun | None:
    """Return a run that was started before; None, and say so, when it is of no more use."""
    logger = get_run_logger()
    try:
        run = job.attach(run_id, parameters)
    except ApiError as error:
        # A run that does not exist (any more) is a 400 here, where other resources are a 404.
        if error.status not in (400, 404):
            raise
        logger.warning("Databricks run %d is gone, starting afresh: %s", run_id, error.message)
        return None
    if run.state.outcome is Outcome.CANCELED:
        run.close()
        logger.warning("Databricks run %d was cancelled, starting afresh", run_id)
        return None
    return run


def _remember(run: DatabricksRun, job_name: str) -> None:
    """Note the job run in the flow run's labels, and show where it is."""
    url = run.state.run_page_url
    get_run_logger().info("Databricks run %d: %s", run.run_id, url)
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(runtime.flow_run.id), {_RUN_LABEL: run.run_id})
    create_link_artifact(
        link=url,
        link_text=f"{job_name}: run {run.run_id}",
        key=f"databricks-run-{run.run_id}",
        description="The Databricks job run of this flow run.",
    )


def _cancel(run: DatabricksRun) -> None:
    """End a run that nobody watches any more, and leave the error that led here in place."""
    logger = get_run_logger()
    logger.warning("Cancelling Databricks run %d", run.run_id)
    try:
        run.cancel()
    except DatabricksError as error:
        logger.error("%s Run %d may still be alive: %s", error, run.run_id, run.state.run_page_url)


def _watch(run: DatabricksRun, mirrors: Mirrors) -> None:
    """Follow the run to its end, showing each change."""
    logger = get_run_logger()
    for attempt in run.watch():
        failed = attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
        failure = run.failure(attempt) if failed else None
        mirrors.show(attempt, failure)
        logger.info("%s", describe(attempt, failure))
