"""Gives a flow run its one job run on Databricks, and leaves none behind without a watcher."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from prefect import Flow, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.logging import get_run_logger

from blocks.databricks import (
    ApiError,
    DatabricksError,
    DatabricksJob,
    DatabricksRun,
    Outcome,
    RunState,
)
from flows.prefect_api import unless_away
from flows.record import Record, read_record, take_up
from flows.reports import report_link


def start_or_adopt(
    job: DatabricksJob,
    parameters: Mapping[str, str],
    usable: Callable[[RunState], bool],
    noted: Record | None,
) -> DatabricksRun:
    """Return the job run of this flow run, which another process of it may have started.

    Args:
        job: The job.
        parameters: Values for its job parameters, if it has to be started.
        usable: Says of a job run that was started before whether what it has made is still there.
        noted: What that process noted; None when there was none.
    """
    logger = get_run_logger()
    flow_run_id = UUID(runtime.flow_run.id)
    before = noted.run_id if noted else None
    if before is not None and (adopted := _adopt(job, before, usable)):
        logger.info("Going on with Databricks run %d", before)
        return adopted
    while True:
        # The token is the same for every process that gets here, so they all start the same run.
        run = job.trigger(parameters, f"prefect-{uuid5(flow_run_id, str(before))}")
        if run.state.outcome is not Outcome.CANCELED:
            return run
        # A process started it, was stopped before it could note it, and cancelled it.
        run.close()
        before = run.run_id


def note(run: DatabricksRun, job: DatabricksJob, noted: Record | None) -> Record:
    """Note the job run in the flow run, and show where it is."""
    url = run.state.run_page_url
    get_run_logger().info("Databricks run %d: %s", run.run_id, url)
    record = take_up(UUID(runtime.flow_run.id), run, str(job._block_document_name), noted)
    run.change_parameters(record.parameters)
    with unless_away("the link to the run"):
        report_link(run.state, job.job_name)
    return record


@contextmanager
def cancel_on_error(run: DatabricksRun) -> Iterator[None]:
    """End a run that nobody will watch any more, and leave the error that led there in place."""
    logger = get_run_logger()
    try:
        yield
    except BaseException as error:
        # A flow run that waits for a person without a process: there is nothing to cancel.
        if isinstance(error, Pause) and run.state.outcome.ended:
            raise
        # Also a run that read as ended a moment ago: a repair of it may be on its way.
        logger.warning("Cancelling Databricks run %d", run.run_id)
        try:
            run.cancel()
        except DatabricksError as refused:
            url = run.state.run_page_url
            logger.error("%s Run %d may still be alive: %s", refused, run.run_id, url)
        raise


def cancel_job_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow: cancel the job run that a cancelled or failed flow run left alive.

    The flow ends its job run itself when it is stopped, or fails, while it has it. This is the
    second line: in another process, for a flow process that was killed before it could; and in a
    process that went on after that one, but failed before it took up the job run.
    """
    record = read_record(flow_run.id)
    if record is None:
        return
    job = DatabricksJob.load(record.job_block)
    assert isinstance(job, DatabricksJob)  # noqa: S101  # load() is typed for async code, too
    try:
        with job.attach(record.run_id) as job_run:
            # What failed and has ended may be under repair by others a moment later.
            if not (state.is_failed() and job_run.state.outcome.ended):
                job_run.cancel()
    except ApiError as error:
        # What was deleted is not alive.
        if not error.missing:
            raise


def _adopt(
    job: DatabricksJob, run_id: int, usable: Callable[[RunState], bool]
) -> DatabricksRun | None:
    """Return a run that was started before; None, and say so, when it is of no more use."""
    logger = get_run_logger()
    try:
        run = job.attach(run_id)
    except ApiError as error:
        if not error.missing:
            raise
        logger.warning("Databricks run %d is gone, starting afresh: %s", run_id, error.message)
        return None
    useless = ""
    if run.state.outcome is Outcome.CANCELED:
        useless = "was cancelled"
    elif not usable(run.state):
        useless = "has lost its data"
    elif not run.state.outcome.ok and not run.job_exists():
        useless = "belongs to a job that was deleted"
    if not useless:
        return run
    logger.warning("Databricks run %d %s, starting afresh", run_id, useless)
    with run:
        if not run.state.outcome.ended:
            run.cancel()
    return None
