"""Whether to repair a run, what of it, and when: decided without any I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from blocks.databricks.cluster import ClusterChanges
from blocks.databricks.failures import FailureClass, Symptom, classify, symptom
from blocks.databricks.policy import RepairPolicy
from blocks.databricks.rounds import latest_attempts, split_rounds
from blocks.databricks.state import Outcome, RunState, TaskAttempt

_NO_ERRORS: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class RepairPlan:
    """A repair worth sending.

    Attributes:
        task_keys: Every task whose latest attempt did not succeed, once each: the failed ones and
            those that were skipped because of them (``runs/repair`` does not add these by itself).
        latest_repair_id: Id of the repair before, None for the first.
        delay_seconds: How long after the failure it is sent.
        reasons: Why each task failed, by task key; those that were skipped are left out.
        cluster_changes: What to change in the job cluster before the repair is sent.
    """

    task_keys: tuple[str, ...]
    latest_repair_id: int | None
    delay_seconds: float = 0.0
    reasons: Mapping[str, str] = field(default_factory=dict)
    cluster_changes: ClusterChanges = field(default_factory=ClusterChanges)

    def seconds_to_wait(self, state: RunState, now: float) -> float:
        """Return how much of the delay is left. It counts from the failure, also after a restart.

        Args:
            state: The run, which has ended.
            now: The current time, in epoch seconds.
        """
        ended = state.end_time / 1000 or now
        return max(0.0, self.delay_seconds - max(0.0, now - ended))


@dataclass(frozen=True)
class NoRepair:
    """Why a run is left as it is.

    Attributes:
        reason: Half a sentence that fits behind "not repaired:".
        exhausted: True when a budget is spent and nothing else speaks against a repair.
    """

    reason: str
    exhausted: bool = False


@dataclass(frozen=True)
class _Failure:
    """One attempt that failed by itself. An unknown class is budgeted as user code."""

    attempt: TaskAttempt
    failure_class: FailureClass
    symptom: Symptom

    @property
    def budget(self) -> FailureClass:
        unknown = self.failure_class is FailureClass.UNKNOWN
        return FailureClass.USER_CODE if unknown else self.failure_class

    @property
    def reason(self) -> str:
        status = self.attempt.status
        known = [self.failure_class.value, status.termination_code or status.result_state]
        known += [] if self.symptom is Symptom.NONE else [self.symptom.value]
        return ", ".join(filter(None, known))


@dataclass(frozen=True)
class _Spent:
    """Repairs that a run has had: in all, by the task that failed, and by class of failure."""

    repairs: int
    tasks: Mapping[str, int]
    classes: Mapping[FailureClass, int]


def plan_repair(
    state: RunState,
    policy: RepairPolicy,
    *,
    errors: Mapping[int, str] = _NO_ERRORS,
    repairs_before: int = 0,
    seconds_left: float = math.inf,
    jitter: float = 0.0,
) -> RepairPlan | NoRepair:
    """Decide whether, what and when to repair.

    Args:
        state: The run, read with its repair history.
        policy: What the user allows.
        errors: What ``runs/get-output`` says about failed attempts, by their run id. Those of
            earlier attempts count too: a node type that was too small stays too small.
        repairs_before: Repairs that the run already had and that do not count: a person who
            retries a failed flow run asks for another try.
        seconds_left: Until the run's deadline; not positive when it has passed.
        jitter: A random number from 0 to 1.

    Returns:
        The repair to send, or the reason for sending none.
    """
    if reason := _settled(state, policy, seconds_left):
        return NoRepair(reason)
    causes = [_failure(attempt, state, policy, errors) for attempt in state.causes]
    if reason := _hopeless(causes):
        return NoRepair(reason)
    budgets = {cause.budget for cause in causes} or {FailureClass.USER_CODE}
    spent = _spent(state, policy, errors, repairs_before)
    if reason := _exhausted(policy, spent, [c.attempt.task_key for c in causes], budgets):
        return NoRepair(reason, exhausted=True)
    delay = _delay(policy, spent, budgets, jitter)
    if delay >= seconds_left:
        return NoRepair(_overdue(policy), exhausted=True)
    return RepairPlan(
        task_keys=state.unsuccessful,
        latest_repair_id=state.latest_repair_id,
        delay_seconds=delay,
        reasons={cause.attempt.task_key: cause.reason for cause in causes},
        cluster_changes=cluster_changes(state, policy, errors),
    )


def _settled(state: RunState, policy: RepairPolicy, seconds_left: float) -> str:
    if not state.outcome.ended:
        return _overdue(policy) if seconds_left <= 0 else "the run is still alive"
    if state.outcome.ok:
        return "the run succeeded"
    if state.outcome is Outcome.CANCELED:
        return "the run was cancelled"
    return "" if state.unsuccessful else "no task of it failed"


def _overdue(policy: RepairPolicy) -> str:
    return f"its time is over (deadline_minutes is {policy.deadline_minutes:g})"


def _failure(
    attempt: TaskAttempt, state: RunState, policy: RepairPolicy, errors: Mapping[int, str]
) -> _Failure:
    error = errors.get(attempt.run_id, "")
    found = classify(attempt.status, error, policy.failure_classes)
    # The run's own time-out ends its tasks as cancelled, but no person did it.
    if (
        state.outcome is Outcome.TIMED_OUT
        and attempt.outcome is Outcome.CANCELED
        and attempt.status.termination_code != "USER_CANCELED"
    ):
        found = FailureClass.UNKNOWN
    return _Failure(attempt, found, symptom(attempt.status, error))


def _hopeless(causes: Collection[_Failure]) -> str:
    """Return why no repair can help, or none is wanted, whatever the budgets say."""
    for cause in causes:
        if cause.failure_class is FailureClass.CANCELLED:
            return f"{cause.attempt.task_key} was cancelled"
    for cause in causes:
        if cause.failure_class is FailureClass.CONFIGURATION:
            return f"{cause.attempt.task_key} would fail again ({cause.reason})"
    return ""


def _spent(
    state: RunState, policy: RepairPolicy, errors: Mapping[int, str], repairs_before: int
) -> _Spent:
    """Count repairs by what they repaired: the last attempts before each of them.

    Databricks' own retries are attempts too, but belong to the round that they are part of.
    """
    rounds = split_rounds(state)
    tasks: Counter[str] = Counter()
    classes: Counter[FailureClass] = Counter()
    for number in range(1 + repairs_before, len(rounds)):
        before = latest_attempts(rounds[:number])
        again = {attempt.task_key for attempt in rounds[number].attempts}
        causes = [
            _failure(before[key], state, policy, errors)
            for key in again & before.keys()
            if _failed_by_itself(before[key])
        ]
        tasks.update(cause.attempt.task_key for cause in causes)
        classes.update({cause.budget for cause in causes} or {FailureClass.USER_CODE})
    return _Spent(max(0, state.repairs - repairs_before), tasks, classes)


def _failed_by_itself(attempt: TaskAttempt) -> bool:
    return attempt.outcome.ended and not attempt.outcome.ok and not attempt.outcome.victim


def _exhausted(
    policy: RepairPolicy,
    spent: _Spent,
    failed: Collection[str],
    budgets: Collection[FailureClass],
) -> str:
    if spent.repairs >= policy.max_repairs:
        return _no_more("max_repairs", spent.repairs)
    for key in failed:
        if (repairs := spent.tasks.get(key, 0)) >= policy.task_repairs:
            return _no_more("task_repairs", repairs, f" after failures of {key}")
    limits = {
        FailureClass.USER_CODE: ("user_code_repairs", policy.user_code_repairs, "a notebook"),
        FailureClass.INFRASTRUCTURE: (
            "infrastructure_repairs",
            policy.infrastructure_repairs,
            "the infrastructure",
        ),
    }
    for budget in sorted(budgets):
        name, limit, what = limits[budget]
        if (repairs := spent.classes.get(budget, 0)) >= limit:
            return _no_more(name, repairs, f" after failures of {what}")
    return ""


def _no_more(setting: str, repairs: int, after: str = "") -> str:
    """Say that a budget is spent, what on, and which setting would change that."""
    if not repairs:
        return f"{setting} allows no repair{after}"
    tried = "1 repair" if repairs == 1 else f"{repairs} repairs"
    return f"{tried}{after} did not help, and {setting} allows no more"


def _delay(
    policy: RepairPolicy, spent: _Spent, budgets: Collection[FailureClass], jitter: float
) -> float:
    first = {
        FailureClass.USER_CODE: policy.user_code_delay_seconds,
        FailureClass.INFRASTRUCTURE: policy.infrastructure_delay_seconds,
    }
    longest = max(
        first[budget] * policy.delay_growth ** spent.classes.get(budget, 0) for budget in budgets
    )
    # Taken off after the cap, or runs that have reached it would all wait equally long.
    return min(longest, policy.max_delay_seconds) * (1 - policy.delay_jitter * jitter)


def cluster_changes(
    state: RunState, policy: RepairPolicy, errors: Mapping[int, str]
) -> ClusterChanges:
    """Return what the job cluster has to be from now on: what was too small once stays so.

    Args:
        state: The run.
        policy: What the user allows.
        errors: What ``runs/get-output`` says about failed attempts, by their run id.
    """
    seen = set(_symptoms(state, errors))
    return ClusterChanges(
        node_type_id=policy.out_of_memory_node_type_id if Symptom.OUT_OF_MEMORY in seen else "",
        on_demand=policy.on_demand_after_spot_loss and Symptom.SPOT_LOSS in seen,
    )


def _symptoms(state: RunState, errors: Mapping[int, str]) -> Iterator[Symptom]:
    for attempt in filter(_failed_by_itself, state.attempts):
        yield symptom(attempt.status, errors.get(attempt.run_id, ""))
