"""How results combine: what becomes of a task given its dependencies, and of a run given its tasks.

Source: the cloud's documentation, "Configure task dependencies" and "View job run status".
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from blocks.local.workspace.specs import Operator, RunIf
from blocks.local.workspace.states import Result

# EXCLUDED counts as success; so does DISABLED, which is left out of a run by intent.
SUCCESSFUL = frozenset({Result.SUCCESS, Result.EXCLUDED, Result.DISABLED})
FAILED = frozenset({Result.FAILED, Result.TIMEDOUT, Result.UPSTREAM_FAILED})
CANCELED = frozenset({Result.CANCELED, Result.UPSTREAM_CANCELED})


def verdict(run_if: RunIf, upstream: Iterable[Result]) -> Result | None:
    """Decide what becomes of a task once everything that it depends on has ended.

    Args:
        run_if: The task's condition.
        upstream: Results of its direct dependencies; none for a root task.

    Returns:
        The result with which it ends without running, or None: it runs.
    """
    results = list(upstream)
    if not results:
        return None
    if all(result is Result.EXCLUDED for result in results):
        return Result.EXCLUDED
    if _met(run_if, results):
        return None
    if run_if in {RunIf.AT_LEAST_ONE_FAILED, RunIf.ALL_FAILED}:
        return Result.EXCLUDED
    if any(result in FAILED for result in results):
        return Result.UPSTREAM_FAILED
    return Result.UPSTREAM_CANCELED


def _met(run_if: RunIf, results: list[Result]) -> bool:
    match run_if:
        case RunIf.ALL_DONE:
            return True
        # NONE_FAILED also asks that one dependency ran: the case of all EXCLUDED, decided before.
        case RunIf.ALL_SUCCESS | RunIf.NONE_FAILED:
            return all(result in SUCCESSFUL for result in results)
        case RunIf.AT_LEAST_ONE_SUCCESS:
            return any(result in SUCCESSFUL for result in results)
        case RunIf.AT_LEAST_ONE_FAILED:
            return any(result in FAILED for result in results)
        case RunIf.ALL_FAILED:
            return all(result in FAILED for result in results)


_COMPARISONS = {
    Operator.GREATER_THAN: operator.gt,
    Operator.GREATER_THAN_OR_EQUAL: operator.ge,
    Operator.LESS_THAN: operator.lt,
    Operator.LESS_THAN_OR_EQUAL: operator.le,
}


def holds(comparison: Operator, left: str, right: str) -> bool:
    """Decide a condition task: equality is that of texts, order is that of numbers.

    Raises:
        ValueError: An operand of an order is no number.
    """
    if comparison is Operator.EQUAL_TO:
        return left == right
    if comparison is Operator.NOT_EQUAL:
        return left != right
    return bool(_COMPARISONS[comparison](_number(left), _number(right)))


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_nan():
        raise ValueError(f"The operand {text!r} of the condition is not a number.")
    return number


def run_result(results: Mapping[str, Result], depends_on: Mapping[str, Iterable[str]]) -> Result:
    """Decide how a run ended: its leaf tasks count, the others only tint a success.

    Args:
        results: The result of the latest attempt of each task.
        depends_on: The direct dependencies of each task.

    Returns:
        ``SUCCESS``, ``SUCCESS_WITH_FAILURES``, ``FAILED`` or ``CANCELED``.
    """
    inner = {upstream for upstreams in depends_on.values() for upstream in upstreams}
    leaves = [result for key, result in results.items() if key not in inner]
    if any(result in FAILED for result in leaves):
        return Result.FAILED
    if any(result in CANCELED for result in leaves):
        return Result.CANCELED
    if all(result in SUCCESSFUL for result in results.values()):
        return Result.SUCCESS
    return Result.SUCCESS_WITH_FAILURES
