"""A job run's attempts, sorted by the repair that started them. All pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from blocks.databricks.state import RunState, TaskAttempt


@dataclass(frozen=True)
class Round:
    """The original run, or one repair of it.

    Attributes:
        repair_id: None for the original run.
        attempts: What it started, with Databricks' own retries, in the order of the attempts.
    """

    repair_id: int | None
    attempts: tuple[TaskAttempt, ...]


def split_rounds(state: RunState) -> tuple[Round, ...]:
    """Give every attempt to exactly one round, the original run first.

    An attempt belongs to the history item that lists its run id (the first one that does). One
    that is listed nowhere is a retry by Databricks and belongs where the attempt before it does.

    Args:
        state: The run, read with its repair history; without one, all is the original run.
    """
    listed: dict[int, int] = {}
    for number, item in enumerate(state.history):
        for run_id in item.task_run_ids:
            listed.setdefault(run_id, number)
    members: list[list[TaskAttempt]] = [[] for _ in state.history] or [[]]
    round_of_task: dict[str, int] = {}
    for attempt in sorted(state.attempts, key=attrgetter("attempt_number", "start_time")):
        number = listed.get(attempt.run_id, round_of_task.get(attempt.task_key, 0))
        round_of_task[attempt.task_key] = number
        members[number].append(attempt)
    ids = [item.repair_id for item in state.history] or [None]
    return tuple(
        Round(repair_id, tuple(attempts)) for repair_id, attempts in zip(ids, members, strict=True)
    )


def repaired_tasks(state: RunState, after: int = 0) -> tuple[str, ...]:
    """Return the keys of the tasks that repairs ran again, each once, in that order.

    Args:
        state: The run, read with its repair history.
        after: How many of its first repairs to leave out.
    """
    again = (attempt for each in split_rounds(state)[1 + after :] for attempt in each.attempts)
    return tuple(dict.fromkeys(attempt.task_key for attempt in again))


def knows_repair(state: RunState, repair_id: int | None) -> bool:
    """Say whether a run, as it was read, is not from before a repair; None stands for no repair."""
    return repair_id is None or any(item.repair_id == repair_id for item in state.history)


def repair_is_visible(state: RunState, repair_id: int) -> bool:
    """Say whether ``runs/get`` shows a repair already, with the attempts that it started.

    Until then the run may still read as failed, and that verdict is the old one.
    """
    attempts = {attempt.run_id for attempt in state.attempts}
    return any(
        item.repair_id == repair_id and item.task_run_ids and item.task_run_ids <= attempts
        for item in state.history
    )


def latest_attempts(rounds: Iterable[Round]) -> dict[str, TaskAttempt]:
    """Return each task's last attempt in these rounds."""
    return {attempt.task_key: attempt for each in rounds for attempt in each.attempts}
