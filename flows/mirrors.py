"""The attempts of a Databricks run as Prefect task runs.

When a Databricks task starts, a task run of the same name is submitted, which waits for a future;
when the Databricks task ends, that future is resolved. So every attempt is one task run with its
true start, end and state, and nothing polls but the one who watches the run.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from prefect import allow_failure, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterName,
)
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Crashed, Failed

from blocks.databricks import (
    DatabricksRun,
    Outcome,
    RepairPlan,
    RunState,
    TaskAttempt,
    TaskFailure,
)


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


class Mirrors:
    """The Prefect task runs that stand for the attempts of one Databricks run.

    Args:
        after: Futures or results of the task runs that the job's first tasks follow in the graph.
    """

    def __init__(self, after: Iterable[object]) -> None:
        self._after = list(after)
        self._ended: dict[int, Future[_End]] = {}
        self._latest: dict[str, PrefectFuture[Any]] = {}
        self._followed: set[str] = set()
        self._all: list[PrefectFuture[Any]] = []
        self._repair: PrefectFuture[int] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End every task run that is still open."""
        # A task thread that still waits would hold a cancelled process until it is killed.
        for ended in self._ended.values():
            if not ended.done():
                ended.set_result(_End(None))
        for mirror in self._all:
            mirror.wait(timeout=10)

    def catch_up(self, state: RunState, failures: Mapping[int, TaskFailure]) -> None:
        """Show what happened while no process of this flow run watched.

        A process that was killed has left task runs open, and attempts may have ended since.

        Args:
            state: The Databricks run that this process takes up.
            failures: Why attempts failed, by run id.
        """
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(runtime.flow_run.id)]))
        named = TaskRunFilter(name=TaskRunFilterName(any_=[*state.current, repair.name]))
        ended = {each.run_page_url: each for each in state.attempts if each.outcome.ended}
        with get_client(sync_client=True) as client:
            for known in client.read_task_runs(flow_run_filter=mine, task_run_filter=named):
                # Behind the name is a hash of the file's path, which a worker may change.
                if known.task_key.rpartition("-")[0] not in (databricks_task.name, repair.name):
                    continue
                if known.state is not None and known.state.is_final():
                    end = known.state
                else:
                    end = _end_of_orphan(state.current.get(known.name), failures)
                    client.set_task_run_state(known.id, end, force=True)
                # Every final state of an attempt ends with the attempt's page.
                ended.pop(str(end.message).rpartition(" ")[2], None)
        for attempt in sorted(ended.values(), key=attrgetter("end_time")):
            self.show(attempt, failures.get(attempt.run_id))

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
        self._followed |= set(attempt.depends_on)
        self._all.append(mirror)

    @property
    def latest(self) -> tuple[PrefectFuture[Any], ...]:
        """The task runs of the latest attempts of those tasks that no other one follows."""
        return tuple(run for key, run in self._latest.items() if key not in self._followed)

    def repair(self, run: DatabricksRun, plan: RepairPlan) -> None:
        """Send a repair, as a task run between the failed attempts and the new ones."""
        failed = [self._latest[key] for key in plan.task_keys if key in self._latest]
        self._repair = repair.submit(
            run, plan, return_state=False, wait_for=[allow_failure(future) for future in failed]
        )
        self._repair.result()


def _end_of_orphan(attempt: TaskAttempt | None, failures: Mapping[int, TaskFailure]) -> State[Any]:
    if attempt is not None and attempt.outcome.ended:
        return final_state(attempt, failures.get(attempt.run_id))
    return Crashed(message="Its process was killed; another one has gone on.")


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
        # Not of the type CANCELLED, on which nothing may follow: neither a repair, after a time-out
        # of the job, nor the tasks that were skipped.
        return Failed(name="Cancelled", message=f"{attempt.status.message} {where}")
    error = failure.error if failure else attempt.status.message
    return Failed(message=f"{error} — {where}")
