"""The thread that plans: one run at a time, when it has changed or when something in it is due."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from blocks.local.workspace.clock import now

_log = logging.getLogger(__name__)


class Planner:
    """Calls a function for each run that needs attention, on a thread of its own.

    Args:
        advance: Does in a run what there is to do, and returns when to look at it again by the
            clock alone, in epoch milliseconds; None for never.
    """

    def __init__(self, advance: Callable[[int], int | None]) -> None:
        self._advance = advance
        self._changed: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._deadlines: dict[int, int] = {}
        self._thread = threading.Thread(target=self._plan, name="planner", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._changed.put(None)
        self._thread.join()

    def wake(self, run_id: int) -> None:
        """Plan a run anew, because something about it changed."""
        self._changed.put(run_id)

    def _plan(self) -> None:
        while True:
            try:
                run_id = self._changed.get(timeout=self._seconds_to_next_deadline())
            except queue.Empty:
                due = [run for run, deadline in self._deadlines.items() if deadline <= now()]
            else:
                if run_id is None:
                    return
                due = [run_id]
            for run_id in due:
                self._deadlines.pop(run_id, None)
                try:
                    deadline = self._advance(run_id)
                except Exception:  # noqa: BLE001 (one broken run must not stop the others)
                    _log.exception("Planning run %d failed.", run_id)
                    continue
                if deadline is not None:
                    self._deadlines[run_id] = deadline

    def _seconds_to_next_deadline(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, (min(self._deadlines.values()) - now()) / 1000)
