"""Runs and task runs as ``runs/get`` shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from blocks.local.workspace.identity import Identity
from blocks.local.workspace.parameters import job_parameters
from blocks.local.workspace.runs import Attempt, Round, Run, RunType
from blocks.local.workspace.states import as_json

# Settings of a task that its task runs do not repeat.
_NOT_SHOWN = frozenset({"max_retries", "min_retry_interval_millis", "retry_on_timeout"})


def run_json(run: Run, identity: Identity) -> dict[str, Any]:
    """Return a run without the arrays that are paged and without its history."""
    shown = {
        **_common(run, identity),
        "run_id": run.run_id,
        "number_in_job": run.run_id,
        "original_attempt_run_id": run.run_id,
        "run_name": run.name,
        "run_page_url": identity.run_page_url(run.job_id, run.run_id),
        "start_time": run.started,
        "end_time": run.ended,
        # Of a run with several tasks only the whole has a duration, repairs included.
        "setup_duration": 0,
        "execution_duration": 0,
        "cleanup_duration": 0,
        "run_duration": run.duration(run.ended) if run.ended else 0,
        "queue_duration": sum(item.started - item.requested for item in run.rounds),
        **as_json(run.state),
    }
    if overriding := run.round.parameters.overriding:
        shown["overriding_parameters"] = overriding
    for name in ("description", "git_source"):
        if name in run.round.settings:
            shown[name] = run.round.settings[name]
    return shown


def run_arrays(run: Run, identity: Identity, *, resolved: bool = False) -> dict[str, Sequence[Any]]:
    """Return the arrays of a run that are paged, but for its history."""
    settings = run.round.settings
    return {
        "tasks": [
            task_json(run, attempt, identity, resolved=resolved)
            for attempt in _scrambled(run.attempts)
        ],
        "job_clusters": settings.get("job_clusters", []),
        "job_parameters": job_parameters(settings, run.round.parameters.job),
    }


def iterations_json(
    run: Run, iterations: Sequence[Attempt], identity: Identity, *, resolved: bool
) -> dict[str, Sequence[Any]]:
    """Return the array of the iterations of a for-each task."""
    return {
        "iterations": [
            task_json(run, attempt, identity, resolved=resolved)
            for attempt in _scrambled(iterations)
        ]
    }


def task_json(
    run: Run, attempt: Attempt, identity: Identity, *, resolved: bool = False
) -> dict[str, Any]:
    """Return an attempt as an entry of ``tasks``.

    Args:
        run: Its run.
        attempt: The attempt.
        identity: Of the workspace.
        resolved: Whether to show its parameters without references too.
    """
    settings = {k: v for k, v in attempt.task.settings.items() if k not in _NOT_SHOWN}
    executing = attempt.executing or attempt.ended
    shown = {
        **settings,
        "run_id": attempt.run_id,
        "attempt_number": attempt.number,
        "run_page_url": identity.run_page_url(run.job_id, attempt.run_id),
        # 0 if it never started, but always there: clients sort by it.
        "start_time": attempt.started,
        "end_time": attempt.ended,
        "setup_duration": _span(attempt.started, executing),
        "execution_duration": _span(attempt.executing, attempt.ended),
        "cleanup_duration": 0,
        "run_duration": _span(attempt.started, attempt.ended),
        **as_json(attempt.state),
    }
    if attempt.outcome is not None:
        shown["condition_task"] = {**attempt.task.action, "outcome": attempt.outcome}
    if resolved and attempt.resolved is not None:
        shown["resolved_values"] = attempt.resolved
    if attempt.cluster_id is not None:
        shown["cluster_instance"] = {
            "cluster_id": attempt.cluster_id,
            "spark_context_id": str(attempt.run_id),
        }
    return shown


def task_run_json(
    run: Run, attempt: Attempt, identity: Identity, *, resolved: bool = False
) -> dict[str, Any]:
    """Return an attempt as a run of its own, as ``runs/get`` does for its id."""
    entry = task_json(run, attempt, identity, resolved=resolved)
    first = next(other for other in run.attempts if other.task.key == attempt.task.key)
    return {
        **_common(run, identity),
        **entry,
        "number_in_job": attempt.run_id,
        "job_run_id": run.run_id,
        "original_attempt_run_id": first.run_id,
        "run_name": attempt.task.key,
        "tasks": [entry],
    }


def history_json(run: Run) -> list[dict[str, Any]]:
    """Return the repair history: the original run first, then each repair."""
    return [_round_json(item, run.attempts) for item in run.rounds]


def _round_json(item: Round, attempts: Sequence[Attempt]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": "ORIGINAL" if item.repair_id is None else "REPAIR",
        "start_time": item.started,
        "end_time": item.ended,
        "task_run_ids": [a.run_id for a in attempts if a.round == item.position],
        **as_json(item.state),
    }
    return shown if item.repair_id is None else {**shown, "id": item.repair_id}


def _common(run: Run, identity: Identity) -> Mapping[str, Any]:
    common = {
        "job_id": run.job_id,
        "creator_user_name": identity.user_name,
        "run_as_user_name": identity.user_name,
        "run_type": run.run_type,
        "format": "MULTI_TASK",
        "trigger": "ONE_TIME",
    }
    if run.run_type is not RunType.JOB_RUN or run.parent is None:
        return common
    return {**common, "trigger": "RUN_JOB_TASK", "trigger_info": {"run_id": run.parent}}


def _span(start: int, end: int) -> int:
    """Return the milliseconds between two times; 0 while one of them is not known."""
    return end - start if start and end else 0


def _scrambled(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return attempts in the cloud's order: a lasting one, but neither of time nor of keys.

    Clients that rely on an order break here as they do there.
    """
    return sorted(attempts, key=lambda attempt: crc32(str(attempt.run_id).encode()))
