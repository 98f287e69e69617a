"""Which fault strikes an attempt to run a task, be it in the run or in one that a task started."""

from __future__ import annotations

from collections.abc import Callable

from blocks.local.workspace.faults.effects import TaskEnding
from blocks.local.workspace.runs import Attempt, Run, RunType

DueFault = Callable[[tuple[str, ...]], TaskEnding | None]


class TaskFaults:
    """Finds the fault of each attempt. Used by the planning thread alone.

    A task whose work is another run has no cluster and no process to lose: what would be lost is
    passed on to the first task that is executed for it.

    Args:
        due: Says how an attempt to run a task, given by the keys that it goes by, must end; None
            for no fault.
    """

    def __init__(self, due: DueFault) -> None:
        self._due = due
        self._passed_on: dict[int, TaskEnding] = {}

    def of(self, run: Run, attempt: Attempt) -> TaskEnding | None:
        """Return how an attempt must end; None for no fault.

        Args:
            run: The run that it belongs to; for an iteration, the one that holds the iterations.
            attempt: The attempt. An iteration goes by the key of the task that is repeated, too.
        """
        if fault := self._passed_on.pop(run.run_id, None):
            return fault
        keys = (attempt.task.key,)
        return self._due((*keys, run.name) if run.run_type is RunType.FOR_EACH else keys)

    def pass_on(self, fault: TaskEnding, run_id: int) -> None:
        """Let a fault strike the first task that a run executes."""
        self._passed_on[run_id] = fault

    def forget(self, run_id: int) -> None:
        """Take note that a run has ended: nothing strikes it any more."""
        self._passed_on.pop(run_id, None)
