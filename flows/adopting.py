"""Gives a flow run its one job run on Databricks, and leaves none behind without a watcher."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid5

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Crashed

from blocks.databricks import (
    ApiError,
    DatabricksError,
    DatabricksJob,
    DatabricksRun,
    JobBusyError,
    Outcome,
    Patience,
    RunState,
)
from flows.prefect_api import unless_away
from flows.record import (
    NOTHING_STARTED,
    Notes,
    Record,
    note_launch,
    note_nothing_started,
    read_notes,
    take_up,
)
from flows.reports import report_link

T = TypeVar("T")

_BUSY_SECONDS = 15.0
_ABANDONED = "Its process and its worker were stopped; its Databricks run is cancelled."


class JobRunLeftError(Exception):
    """A flow run fails and leaves its job run as it is, which others may repair from now on."""


def start_or_adopt(
    job: DatabricksJob,
    parameters: Mapping[str, str],
    usable: Callable[[RunState], bool],
    notes: Notes,
) -> tuple[DatabricksRun, Notes]:
    """Return the job run of this flow run, which another process of it may have started.

    Args:
        job: The job.
        parameters: Values for its job parameters, if it has to be started.
        usable: Says of a job run that was started before whether what it has made is still there.
        notes: What such a process noted.

    Returns:
        The run, and the notes by which another process would find it, too.
    """
    patience = notes.patience()
    before = notes.record
    if before is not None and (adopted := _adopt(job, before, usable, patience)):
        get_run_logger().info("Going on with Databricks run %d", adopted.run_id)
        return adopted, notes
    # Processes that know the same notes have the same token, and so start the same run.
    token = uuid5(notes.flow_run_id, before.launch.token if before else "")
    launch = when_free(lambda: job.prepare(parameters, f"prefect-{token}", patience))
    notes = note_launch(notes, launch, str(job._block_document_name))
    try:
        return job.start(launch, patience), notes
    except ApiError as error:
        if not error.transient:
            note_nothing_started(notes)
        raise


def when_free(do: Callable[[], T], until: float = math.inf) -> T:
    """Do what would disturb other runs of the job, once none of them is alive.

    Args:
        do: What to do; raises ``JobBusyError`` while there are any.
        until: When to give up, in epoch seconds.

    Raises:
        JobBusyError: There still are.
    """
    waiting = False
    while True:
        try:
            return do()
        except JobBusyError as busy:
            if time.time() >= until:
                raise
            if not waiting:
                get_run_logger().warning("Waiting: %s", busy)
        waiting = True
        time.sleep(max(0.0, min(_BUSY_SECONDS, until - time.time())))


def take_up_run(run: DatabricksRun, job: DatabricksJob, notes: Notes) -> Record:
    """Note the job run in the flow run, and show where it is."""
    url = run.state.run_page_url
    get_run_logger().info("Databricks run %d: %s", run.run_id, url)
    record = take_up(notes, run, str(job._block_document_name))
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
            # What was deleted is not alive.
            if not (isinstance(refused, ApiError) and refused.missing):
                url = run.state.run_page_url
                logger.error("%s Run %d may still be alive: %s", refused, run.run_id, url)
        raise


def cancel_job_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow: cancel the job run that a cancelled or failed flow run left alive.

    The flow ends its job run itself when it is stopped, or fails, while it has it. This is the
    second line: in another process, for a flow process that was killed before it could; and in a
    process that went on after that one, but failed before it took up the job run.
    """
    if state.is_failed():
        error = state.result(raise_on_failure=False)
        if isinstance(error, JobRunLeftError):
            return
    _end_job_run(read_notes(flow_run.id).record, unless_ended=state.is_failed())


def end_abandoned(flow_run_id: str) -> None:
    """End a flow run, and its job run, of which no process is left: see :mod:`flows.watchdog`."""
    notes = read_notes(UUID(flow_run_id))
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(notes.flow_run_id).state
        if state is None or (state.is_final() and not state.is_crashed()):
            return
        # First, because what goes wrong from now on is left to the sweep.
        end_lost(client, notes.flow_run_id, state, _ABANDONED)
    _end_job_run(notes.record, unless_ended=False)


def end_lost(client: SyncPrefectClient, flow_run_id: UUID, state: State[Any], message: str) -> None:
    """Give a flow run its last state that no process will give it any more.

    Args:
        client: Of the Prefect API.
        flow_run_id: The flow run.
        state: Its state so far; stays if it is final.
        message: What has become of it.
    """
    if not state.is_final():
        make = Cancelled if state.is_cancelling() else Crashed
        client.set_flow_run_state(flow_run_id, make(message=message), force=True)


def _end_job_run(record: Record | None, *, unless_ended: bool) -> None:
    """Cancel the job run that was noted, if one has been started.

    Args:
        record: The notes.
        unless_ended: Leave one alone that has ended, and may be under repair by others in a moment.
    """
    if record is None or record.run_id == NOTHING_STARTED:
        return
    job = DatabricksJob.load(record.job_block)
    assert isinstance(job, DatabricksJob)  # noqa: S101  # load() is typed for async code, too
    try:
        with _reopen(job, record) as job_run:
            if not (unless_ended and job_run.state.outcome.ended):
                job_run.cancel()
    except ApiError as error:
        # What was deleted is not alive.
        if not error.missing:
            raise


def _reopen(job: DatabricksJob, record: Record, patience: Patience | None = None) -> DatabricksRun:
    """Take up the job run that was noted, whether or not it was known by then which one it is."""
    if record.run_id is not None:
        return job.attach(record.run_id, patience)
    run = job.start(record.launch, patience)
    run.skip_ended()
    return run


def _adopt(
    job: DatabricksJob, record: Record, usable: Callable[[RunState], bool], patience: Patience
) -> DatabricksRun | None:
    """Return the run that was noted; None, and say so, when it is of no more use."""
    if record.run_id == NOTHING_STARTED:
        return None
    logger = get_run_logger()
    try:
        run = _reopen(job, record, patience)
    except ApiError as error:
        if not error.missing:
            raise
        which = "" if record.run_id is None else f" {record.run_id}"
        logger.warning("Databricks run%s is gone, starting afresh: %s", which, error.message)
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
    logger.warning("Databricks run %d %s, starting afresh", run.run_id, useless)
    with run:
        if not run.state.outcome.ended:
            run.cancel()
    return None
