"""Which tasks a repair runs again: pure checks and choices.

The rules are those of ``runs/repair``. A repair uses the job's current settings and never runs a
task again that succeeded, unless the request names it or asks for dependents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blocks.local.workspace.conditions import SUCCESSFUL
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.specs import TaskSpec, descendants
from blocks.local.workspace.states import Result
from blocks.local.workspace.switches import Switches


@dataclass(frozen=True)
class RepairChoice:
    """What a repair request selects.

    Attributes:
        rerun_tasks: Task keys, as given.
        rerun_all_failed_tasks: Everything that did not succeed, skipped tasks included.
        rerun_dependent_tasks: Everything downstream of the selection too.
        latest_repair_id: The id of the repair before, for optimistic locking.
    """

    rerun_tasks: tuple[str, ...] = ()
    rerun_all_failed_tasks: bool = False
    rerun_dependent_tasks: bool = False
    latest_repair_id: int | None = None


def check_latest_repair(given: int | None, actual: int | None) -> None:
    """Refuse a repair that does not know of the one before it.

    Raises:
        ApiError: The id is missing though there was a repair, or it is not the latest one.
    """
    if actual is not None and given is None:
        raise invalid("The latest repair ID needs to be provided in order to create a new repair")
    if given != actual:
        raise invalid(f"The latest repair ID {given} does not match the latest repair of the run.")


def check_repairable(repairs: int, tasks: Mapping[str, TaskSpec], switches: Switches) -> None:
    """Refuse a repair that the switches rule out.

    Args:
        repairs: How many the run has had.
        tasks: The job's current tasks.
        switches: Rules that the cloud leaves open.

    Raises:
        ApiError: The run cannot be repaired.
    """
    if switches.max_repairs and repairs >= switches.max_repairs:
        raise invalid(f"The run has been repaired {repairs} times, which is the limit.")
    if len(tasks) == 1 and not switches.repair_of_single_task_jobs:
        raise invalid("Only runs of jobs with several tasks can be repaired.")


def tasks_to_rerun(
    choice: RepairChoice,
    results: Mapping[str, Result],
    tasks: Mapping[str, TaskSpec],
    switches: Switches,
) -> tuple[str, ...]:
    """Choose the tasks that a repair runs again.

    Args:
        choice: What the request selects.
        results: Result of the latest attempt of each task of the run.
        tasks: The job's current tasks.
        switches: Rules that the cloud leaves open.

    Returns:
        Task keys, in the order of the job's settings.

    Raises:
        ApiError: The selection contradicts itself, or is empty, or names an unknown task.
    """
    if choice.rerun_tasks and choice.rerun_all_failed_tasks:
        raise invalid("Only one of rerun_tasks and rerun_all_failed_tasks can be specified.")
    unspecified = not choice.rerun_tasks and not choice.rerun_all_failed_tasks
    if unspecified and switches.repair_without_selector == "refused":
        raise invalid("Either rerun_tasks or rerun_all_failed_tasks must be specified.")
    named = set(choice.rerun_tasks)
    if len(named) < len(choice.rerun_tasks):
        raise invalid("rerun_tasks cannot contain duplicate task keys.")
    selected = set(named) or {key for key, result in results.items() if result not in SUCCESSFUL}
    if not selected:
        raise invalid("The run has no failed tasks to repair.")
    known = results.keys() | tasks.keys() if switches.repair_of_added_tasks else results.keys()
    if unknown := sorted(selected - known):
        raise invalid(f"Task '{unknown[0]}' in rerun_tasks is not a task of the run.")
    removed = sorted(selected - tasks.keys())
    if removed and (removed == sorted(selected) or switches.repair_of_removed_tasks == "refused"):
        raise invalid(f"Task '{removed[0]}' no longer exists in the settings of the job.")
    if choice.rerun_dependent_tasks:
        selected |= descendants(selected, tasks) & known
    return tuple(
        key
        for key, task in tasks.items()
        if key in selected and (key in named or not task.disabled)
    )
