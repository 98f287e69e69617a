"""The faults that are armed, and how often each has struck."""

from __future__ import annotations

import threading
from collections.abc import Callable

from blocks.local.workspace.clock import now
from blocks.local.workspace.faults.effects import TaskEnding, task_ending
from blocks.local.workspace.faults.endpoints import matches
from blocks.local.workspace.faults.journal import note_fault
from blocks.local.workspace.faults.policy import (
    Armed,
    before_repair,
    repaired_since,
    strike,
)
from blocks.local.workspace.faults.specs import CallFault, Fault, StaleReads, TaskFault
from blocks.local.workspace.runs import Run


class FaultBook:
    """Keeps the faults, and says which one strikes. Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: tuple[Armed, ...] = ()
        self._last = 0

    def add(self, fault: Fault) -> int:
        """Arm a fault and return its number."""
        with self._lock:
            self._last += 1
            self._armed = (*self._armed, Armed(self._last, fault, now()))
            return self._last

    def all(self) -> tuple[Armed, ...]:
        """Return the faults, those that are spent too."""
        with self._lock:
            return self._armed

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._armed = ()

    def for_call(self, method: str, path: str) -> CallFault | None:
        """Return the fault that strikes a request, if any."""
        fault = self._strike(
            lambda item: (
                isinstance(item.fault, CallFault) and matches(item.fault.endpoint, method, path)
            )
        )
        return fault if isinstance(fault, CallFault) else None

    def for_task(self, task_keys: tuple[str, ...]) -> TaskEnding | None:
        """Return how an attempt to run a task ends, if a fault strikes it.

        Args:
            task_keys: The keys that the task goes by.
        """
        fault = self._strike(
            lambda item: isinstance(item.fault, TaskFault) and item.fault.task in task_keys
        )
        return task_ending(fault) if isinstance(fault, TaskFault) else None

    def as_read(self, run: Run) -> Run:
        """Return a run as ``runs/get`` is to show it: as it is, or as it was before its repair."""
        fault = self._strike(
            lambda item: isinstance(item.fault, StaleReads) and repaired_since(run, item.added)
        )
        if fault is None:
            return run
        note_fault(fault.kind)
        return before_repair(run)

    def _strike(self, concerned: Callable[[Armed], bool]) -> Fault | None:
        with self._lock:
            self._armed, item = strike(self._armed, concerned)
        return None if item is None else item.fault
