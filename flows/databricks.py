"""Drives one Databricks job run from within a flow: watch, repair, conclude."""

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from blocks.databricks import (
    ClusterChanges,
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
    change_clusters,
    cluster_changes,
    differences,
    plan_repair,
    repaired_tasks,
)
from flows.adopting import (
    JobRunLeftError,
    cancel_on_error,
    start_or_adopt,
    take_up_run,
    when_free,
)
from flows.asking import ask, plan_decision
from flows.events import emit_failed, emit_repaired
from flows.mirrors import Mirrors
from flows.prefect_api import unless_away
from flows.record import Record, note_answer, note_question, read_notes
from flows.reports import report_failure, report_receipt, report_tasks
from flows.watchdog import watchdog


class DatabricksRunFailedError(DatabricksError, JobRunLeftError):
    """The job run ended without success and was not repaired (again).

    Attributes:
        state: The run as it ended.
    """

    def __init__(self, state: RunState, reason: str, failures: Iterable[TaskFailure]) -> None:
        causes = "; ".join(
            f"{failure.attempt.task_key} failed: {failure.error}" for failure in failures
        )
        again = " again" if state.repairs else ""
        super().__init__(
            f"Databricks run {state.run_id} ended as {state.outcome.value} and was not repaired"
            f"{again}: {reason}. {causes or state.status.message} — {state.run_page_url}"
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


def run_job(
    job: DatabricksJob,
    parameters: Mapping[str, str],
    policy: RepairPolicy,
    after: Iterable[object],
    usable: Callable[[RunState], bool] = lambda _state: True,
    follow: Callable[[DatabricksRun], object] = lambda _run: None,
) -> JobOutcome:
    """Run a job to its end from within a flow, repairing what fails.

    A flow run that is retried, or restarted after a crash, adopts the job run that it started
    before: it goes on watching one that is alive, and repairs one that failed.

    Args:
        job: The job, loaded from its block document.
        parameters: Values for its job parameters.
        policy: How often failed tasks are run again, and how long the run may take.
        after: Futures or results of the task runs that the job's first tasks follow in the graph.
        usable: Says of a job run that was started before whether what it has made is still there;
            if not, a new one is started.
        follow: Called with the job run as soon as there is one.

    Raises:
        DatabricksRunFailedError: The run ended without success.
        DatabricksError: The run could not be started, watched or repaired; it was cancelled.
    """
    notes = read_notes(UUID(runtime.flow_run.id))
    with watchdog(runtime.flow_run.id):
        run, notes = start_or_adopt(job, parameters, usable, notes)
        follow(run)
        with run, Mirrors(after) as mirrors:
            with cancel_on_error(run):
                record = take_up_run(run, job, notes)
                failures = known_failures(run)
                with unless_away("what happened before"):
                    mirrors.catch_up(run.state, failures)
                reason = _drive(run, mirrors, policy, record, failures)
            conclude(run, reason, failures, policy)
            results = run.fetch_result()
            return JobOutcome(run.state, results, repaired_tasks(run.state), mirrors.latest)


def _drive(
    run: DatabricksRun,
    mirrors: Mirrors,
    policy: RepairPolicy,
    record: Record,
    failures: dict[int, TaskFailure],
) -> str:
    """Watch and repair a run until it has ended for good.

    Args:
        run: The run.
        mirrors: Its task runs in Prefect.
        policy: What the user allows.
        record: What the run was started with, and what it may still spend.
        failures: Why attempts failed, by run id; what is found out is added.

    Returns:
        Why it is not repaired (any more).
    """
    while True:
        deadline = record.budget.deadline(policy)
        failures |= watch(run, mirrors, deadline)
        plan = plan_repair(
            run.state,
            policy,
            errors=_errors(failures),
            repairs_before=record.budget.repairs,
            seconds_left=deadline - time.time(),
            jitter=random.random(),  # noqa: S311  # no secret
        )
        if isinstance(plan, NoRepair) and plan.exhausted and policy.asks:
            plan, record = _ask(run, plan.reason, policy, record, failures)
        if isinstance(plan, RepairPlan):
            _announce(run, plan)
            time.sleep(plan.seconds_to_wait(run.state, time.time()))
            plan = _unless_edited(run, plan, record, policy)
        if isinstance(plan, RepairPlan):
            plan = _with_its_clusters(run, plan, deadline)
        if isinstance(plan, NoRepair):
            break
        mirrors.repair(run, plan)
    if not run.state.outcome.ended:
        get_run_logger().warning("Cancelling Databricks run %d: %s", run.run_id, plan.reason)
        run.cancel()
        failures |= watch(run, mirrors)
    return plan.reason


def watch(run: DatabricksRun, mirrors: Mirrors, until: float = math.inf) -> dict[int, TaskFailure]:
    """Follow the run, showing each change, until it has ended or the time is over.

    Args:
        run: The run.
        mirrors: Its task runs in Prefect.
        until: When to give up, in epoch seconds.

    Returns:
        Why attempts failed, by run id.
    """
    logger = get_run_logger()
    failures = {}
    for attempt in run.watch(until):
        failure = None
        if attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            failure = failures[attempt.run_id] = run.failure(attempt)
        mirrors.show(attempt, failure)
        with unless_away("the state of the tasks"):
            report_tasks(run.state)
            if failure is not None:
                report_failure(failure)
        logger.info("%s", describe(attempt, failure))
    return failures


def known_failures(run: DatabricksRun) -> dict[int, TaskFailure]:
    """Ask why attempts failed that ended before this process watched, by run id."""
    return {
        attempt.run_id: run.failure(attempt)
        for attempt in run.already_ended
        if attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
    }


def conclude(
    run: DatabricksRun, reason: str, failures: Mapping[int, TaskFailure], policy: RepairPolicy
) -> None:
    """Tell everybody how a run has ended.

    Args:
        run: The run.
        reason: Why it is not repaired (any more).
        failures: Why attempts failed, by run id.
        policy: What the user allows.

    Raises:
        DatabricksRunFailedError: It ended without success.
    """
    state = run.state
    if state.repairs:
        with unless_away("what the repairs saved"):
            report_receipt(state, policy.price_per_hour)
    if not state.outcome.ok:
        # What was cancelled or never started has no error of its own; the run's message tells.
        causes = [failures[each.run_id] for each in state.causes if each.run_id in failures]
        emit_failed(state, reason, causes, policy)
        raise DatabricksRunFailedError(state, reason, causes)
    if state.repairs:
        emit_repaired(state, repaired_tasks(state), policy)


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


def _ask(
    run: DatabricksRun,
    reason: str,
    policy: RepairPolicy,
    record: Record,
    failures: Mapping[int, TaskFailure],
) -> tuple[RepairPlan | NoRepair, Record]:
    """Let a person decide; return what to do, and the notes that count from now on."""
    # The same question is asked once, also by a flow run that was restarted.
    question = f"{run.run_id}-{run.state.repairs}-{record.budget.failures}"
    record = note_question(UUID(runtime.flow_run.id), record, question)
    errors = _errors(failures)
    seconds_left = record.asked[question] + policy.answer_seconds - time.time()
    decision = ask(question, run.state, reason, errors, seconds_left)
    if decision is None:
        return NoRepair(f"{reason}, and nobody answered in time"), record
    run.change_parameters(decision.parameters)
    record = note_answer(UUID(runtime.flow_run.id), record, decision.parameters)
    changes = cluster_changes(run.state, policy, errors)
    return plan_decision(run.state, decision.tasks, changes), record


def _announce(run: DatabricksRun, plan: RepairPlan) -> None:
    what = ", ".join(plan.task_keys)
    if why := "; ".join(f"{key}: {reason}" for key, reason in plan.reasons.items()):
        what += f" ({why})"
    if plan.cluster_changes:
        what += f", on {plan.cluster_changes}"
    if wait := plan.seconds_to_wait(run.state, time.time()):
        what += f", in {wait:.0f} s"
    get_run_logger().warning("Repairing run %d: %s", run.run_id, what)


def _unless_edited(
    run: DatabricksRun, plan: RepairPlan, record: Record, policy: RepairPolicy
) -> RepairPlan | NoRepair:
    """Stop a repair that would not be one of what was started."""
    if policy.use_changed_settings:
        return plan
    # What a rule changes, for this run or for another one of the same job, is no edit.
    rules = ClusterChanges(policy.out_of_memory_node_type_id, policy.on_demand_after_spot_loss)
    before, now = (
        change_clusters(settings, rules)
        for settings in (record.launch.settings, run.job_settings())
    )
    changed = "; ".join(differences(before, now))
    if not changed:
        return plan
    return NoRepair(
        f"the job was changed since the run started, and a repair would use its new settings "
        f"({changed}); undo that, or set repair.use_changed_settings"
    )


def _with_its_clusters(
    run: DatabricksRun, plan: RepairPlan, deadline: float
) -> RepairPlan | NoRepair:
    """Give the job the clusters that a repair needs, once no other run of it is alive."""
    if not plan.cluster_changes:
        return plan
    try:
        when_free(lambda: run.change_cluster(plan.cluster_changes), until=deadline)
    except JobBusyError as error:
        return NoRepair(f"its time was over before its clusters could be changed ({error})")
    return plan


def _errors(failures: Mapping[int, TaskFailure]) -> dict[int, str]:
    return {run_id: failure.error for run_id, failure in failures.items()}
