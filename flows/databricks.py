"""Drives one Databricks job run and shows it in Prefect while it happens.

One loop watches the run. When a Databricks task starts, a Prefect task run of the same name is
submitted, which waits for a future; when the Databricks task ends, the loop resolves that future.
So every attempt is one task run with its true start, end and state, at one request per poll.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Self

from prefect import allow_failure, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from blocks.databricks import (
    DatabricksError,
    DatabricksJob,
    DatabricksRun,
    NoRepair,
    Outcome,
    RepairPlan,
    RepairPolicy,
    RunState,
    TaskAttempt,
    TaskFailure,
    plan_repair,
)


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


@dataclass(frozen=True)
class _End:
    """How an attempt ended, and why if it failed; None as attempt when nobody will know."""

    attempt: TaskAttempt | None
    failure: TaskFailure | None = None


@task(task_run_name="{task_key}", cache_policy=NO_CACHE, persist_result=False)
def databricks_task(
    task_key: str, attempt_number: int, run_page_url: str, ended: "Future[_End]"
) -> State[Any]:
    """Stand for one attempt of a Databricks task, until the watcher says how it ended."""
    end = ended.result()
    # Made here and not by the watcher: the server drops a state that is older than "Running".
    if end.attempt is None:
        return Cancelled(message="The flow run ended before this task did.")
    return final_state(end.attempt, end.failure)


@task(task_run_name="repair", cache_policy=NO_CACHE, persist_result=False)
def repair(run: DatabricksRun, plan: RepairPlan) -> int:
    """Run the failed tasks of the job run again, and only those."""
    return run.repair(plan.task_keys, plan.latest_repair_id)


class _Mirrors:
    """The Prefect task runs that stand for the attempts of one Databricks run."""

    def __init__(self, after: Iterable[object]) -> None:
        self._after = list(after)
        self._ended: dict[int, Future[_End]] = {}
        self._latest: dict[str, PrefectFuture[Any]] = {}
        self._all: list[PrefectFuture[Any]] = []
        self._repair: PrefectFuture[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # A task thread that still waits would hold a cancelled process until it is killed.
        for ended in self._ended.values():
            if not ended.done():
                ended.set_result(_End(None))
        for mirror in self._all:
            mirror.wait(timeout=10)

    def show(self, attempt: TaskAttempt, failure: TaskFailure | None) -> None:
        """Start or end the task run of an attempt whose outcome changed."""
        if attempt.outcome is Outcome.PENDING:
            return
        if attempt.run_id not in self._ended:
            self._start(attempt)
        ended = self._ended[attempt.run_id]
        if attempt.outcome.ended and not ended.done():
            ended.set_result(_End(attempt, failure))

    def _start(self, attempt: TaskAttempt) -> None:
        ended: Future[_End] = Future()
        upstream: list[Any] = [
            self._latest[key] for key in attempt.depends_on if key in self._latest
        ]
        if self._repair is not None:
            upstream.append(self._repair)
        elif not attempt.depends_on:
            upstream += self._after
        mirror = databricks_task.submit(
            attempt.task_key,
            attempt.attempt_number,
            attempt.run_page_url,
            ended,
            return_state=False,
            # Databricks has decided already that this task runs.
            wait_for=[allow_failure(future) for future in upstream],
        )
        self._ended[attempt.run_id] = ended
        self._latest[attempt.task_key] = mirror
        self._all.append(mirror)

    @property
    def latest(self) -> tuple[PrefectFuture[Any], ...]:
        """The task runs of the latest attempts."""
        return tuple(self._latest.values())

    def repair(self, run: DatabricksRun, plan: RepairPlan) -> None:
        """Send a repair, as a task run between the failed attempts and the new ones."""
        failed = [self._latest[key] for key in plan.task_keys if key in self._latest]
        self._repair = repair.submit(
            run, plan, return_state=False, wait_for=[allow_failure(future) for future in failed]
        )
        self._repair.result()


def final_state(attempt: TaskAttempt, failure: TaskFailure | None) -> State[Any]:
    """Return the Prefect state that says how an attempt ended."""
    where = attempt.run_page_url
    if attempt.outcome.victim:
        return Completed(name="Skipped", message=f"Not run: {attempt.status.message} {where}")
    if attempt.outcome is Outcome.EXCLUDED:
        return Completed(name="Excluded", message=f"Left out by its run_if condition. {where}")
    if attempt.outcome.ok:
        return Completed(message=f"{attempt.seconds:.1f} s on Databricks. {where}")
    if attempt.outcome is Outcome.CANCELED:
        return Cancelled(message=f"{attempt.status.message} {where}")
    error = failure.error if failure else attempt.status.message
    return Failed(message=f"{error} — {where}")


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

    A retry of the same flow run sends the same idempotency token and so gets the run that it
    started before; a failed one is then repaired, not started again.

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
    with (
        job.trigger(parameters, idempotency_token=f"prefect-{flow_run.id}") as run,
        _Mirrors(after) as mirrors,
    ):
        logger.info("Databricks run %d: %s", run.run_id, run.state.run_page_url)
        create_link_artifact(
            link=run.state.run_page_url,
            link_text=f"{job.job_name}: run {run.run_id}",
            key=f"databricks-run-{run.run_id}",
            description="The Databricks job run of this flow run.",
        )
        repaired: list[str] = []
        repairs_before = run.state.repairs
        try:
            while True:
                failures = _watch(run, mirrors)
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
            raise DatabricksRunFailedError(run.state, plan.reason, failures)
        return JobOutcome(run.state, run.fetch_result(), tuple(repaired), mirrors.latest)


def _cancel(run: DatabricksRun) -> None:
    """End a run that nobody watches any more, and leave the error that led here in place."""
    logger = get_run_logger()
    logger.warning("Cancelling Databricks run %d", run.run_id)
    try:
        run.cancel()
    except DatabricksError as error:
        logger.error("%s Run %d may still be alive: %s", error, run.run_id, run.state.run_page_url)


def _watch(run: DatabricksRun, mirrors: _Mirrors) -> list[TaskFailure]:
    """Follow the run to its end, showing each change; return why tasks failed."""
    logger = get_run_logger()
    failures = []
    for attempt in run.watch():
        failure = None
        if attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            failure = run.failure(attempt)
            failures.append(failure)
        mirrors.show(attempt, failure)
        logger.info("%s", describe(attempt, failure))
    return failures
