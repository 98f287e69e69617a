"""Drives one Databricks job run from within a flow: start or adopt, watch, repair, cancel."""

import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from prefect import Flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from blocks.databricks import (
    ApiError,
    DatabricksError,
    DatabricksJob,
    DatabricksRun,
    JobBusyError,
    NoRepair,
    Outcome,
    RepairPlan,
    RepairPolicy,
    RunState,
    TaskAttempt,
    TaskFailure,
    differences,
    plan_repair,
)
from flows.asking import ask
from flows.connections import Connections
from flows.mirrors import Mirrors
from flows.reports import report_failure, report_link, report_receipt, report_tasks

# Labels of the flow run that name its Databricks run; every process can read them.
_RUN_LABEL = "databricks.run_id"
_SETTINGS_LABEL = "databricks.job_settings"


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
        task_runs: The Prefect task runs at the job's end, for those that come after.
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
    with _start_or_adopt(job, parameters) as run, Mirrors(after) as mirrors:
        repaired: list[str] = []
        repairs_before = run.state.repairs
        with cancel_on_error(run):
            # Why attempts failed, by run id; what happened before a restart counts as well.
            errors = {each.run_id: run.failure(each).error for each in run.state.causes}
            started_with = _remember(run, job.job_name)
            while True:
                errors |= watch(run, mirrors)
                plan: RepairPlan | NoRepair = plan_repair(
                    run.state,
                    policy,
                    errors=errors,
                    repairs_before=repairs_before,
                    jitter=random.random(),  # noqa: S311  # no secret
                )
                if isinstance(plan, NoRepair) and plan.exhausted and policy.asks:
                    plan, changed = ask(run.state, plan.reason, errors, policy.answer_seconds)
                    run.change_parameters(changed)
                if isinstance(plan, NoRepair):
                    break
                if drift := _drift(run, started_with, policy):
                    plan = NoRepair(drift)
                    break
                started_with = _prepare(run, plan, started_with)
                mirrors.repair(run, plan)
                repaired += plan.task_keys
        if not run.state.outcome.ok:
            failures = [run.failure(attempt) for attempt in run.state.causes]
            raise DatabricksRunFailedError(run.state, plan.reason, failures)
        if run.state.repairs:
            report_receipt(run.state, policy.price_per_hour)
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
        adopted = _adopt(job, before)
        if adopted is not None:
            logger.info("Going on with Databricks run %d", before)
            return adopted
    # The token is the same for every process that gets here, so they all start the same run.
    return job.trigger(parameters, f"prefect-{uuid5(flow_run_id, str(before))}")


def _adopt(job: DatabricksJob, run_id: int) -> DatabricksRun | None:
    """Return a run that was started before; None, and say so, when it is of no more use."""
    logger = get_run_logger()
    try:
        run = job.attach(run_id)
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


def _remember(run: DatabricksRun, job_name: str) -> Mapping[str, Any]:
    """Note the job run in the flow run's labels, show where it is, and return its settings.

    Returns:
        The job's settings as they were when the run started, also if that was before a restart.
    """
    flow_run_id = UUID(runtime.flow_run.id)
    url = run.state.run_page_url
    get_run_logger().info("Databricks run %d: %s", run.run_id, url)
    with get_client(sync_client=True) as client:
        labels = client.read_flow_run(flow_run_id).labels
        if labels.get(_RUN_LABEL) == run.run_id:
            settings: dict[str, Any] = json.loads(str(labels[_SETTINGS_LABEL]))
            return settings
        settings = run.job_settings()
        client.update_flow_run_labels(
            flow_run_id, {_RUN_LABEL: run.run_id, _SETTINGS_LABEL: json.dumps(settings)}
        )
    report_link(run.state, job_name)
    return settings


def _prepare(
    run: DatabricksRun, plan: RepairPlan, settings: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Say what is repaired and why, change the cluster if asked to, and wait as planned.

    Returns:
        The job's settings with which the repair runs.
    """
    logger = get_run_logger()
    why = "; ".join(f"{key}: {reason}" for key, reason in plan.reasons.items())
    logger.warning("Repairing run %d: %s (%s)", run.run_id, ", ".join(plan.task_keys), why)
    if plan.cluster_changes:
        try:
            settings = run.change_cluster(plan.cluster_changes)
        except JobBusyError as error:
            logger.warning("%s", error)
    if plan.delay_seconds:
        logger.info("Waiting %.0f s before the repair", plan.delay_seconds)
        time.sleep(plan.delay_seconds)
    return settings


def _drift(run: DatabricksRun, started_with: Mapping[str, Any], policy: RepairPolicy) -> str:
    """Say why a repair would not be one of what was started; empty when it would."""
    if policy.use_changed_settings:
        return ""
    changed = "; ".join(differences(started_with, run.job_settings()))
    return changed and (
        f"the job was changed since the run started, and a repair would use its new settings "
        f"({changed}); undo that, or set repair.use_changed_settings"
    )


@contextmanager
def cancel_on_error(run: DatabricksRun) -> Iterator[None]:
    """End a run that nobody will watch any more, and leave the error that led there in place."""
    logger = get_run_logger()
    try:
        yield
    except BaseException:
        # Also a run that read as ended a moment ago: a repair of it may be on its way.
        logger.warning("Cancelling Databricks run %d", run.run_id)
        try:
            run.cancel()
        except DatabricksError as error:
            url = run.state.run_page_url
            logger.error("%s Run %d may still be alive: %s", error, run.run_id, url)
        raise


def watch(run: DatabricksRun, mirrors: Mirrors) -> dict[int, str]:
    """Follow the run to its end, showing each change; return why attempts failed, by run id."""
    logger = get_run_logger()
    errors = {}
    for attempt in run.watch():
        failure = None
        if attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            failure = run.failure(attempt)
            errors[attempt.run_id] = failure.error
            report_failure(failure)
        mirrors.show(attempt, failure)
        report_tasks(run.state)
        logger.info("%s", describe(attempt, failure))
    return errors
