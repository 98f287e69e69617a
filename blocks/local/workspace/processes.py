"""The processes of one attempt: its notebook and the notebooks that this one runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.local.workspace.executor import Executor, Notebook
from blocks.local.workspace.notebook.contract import Host, NotebookOutcome, NotebookRequest

# How long it takes at most until a killed task stops waiting for a slot.
_SLOT_SECONDS = 0.1
_LOST = NotebookOutcome(status="lost")


class ProcessGroup:
    """The process of a notebook and those of the notebooks that it runs; they end together.

    Args:
        executor: Makes the processes.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._killed = threading.Event()
        self._processes: list[Notebook] = []

    @contextmanager
    def slot(self, slots: threading.Semaphore, earliest: float) -> Iterator[None]:
        """Hold one of the slots, from some moment of the monotonic clock on; wait for both.

        Once the group is killed there is nothing to wait for.
        """
        self._killed.wait(max(0.0, earliest - time.monotonic()))
        held = False
        while not held and not self._killed.is_set():
            held = slots.acquire(timeout=_SLOT_SECONDS)
        try:
            yield
        finally:
            if held:
                slots.release()

    def run(
        self, request: NotebookRequest, host: Host, timeout: float | None = None
    ) -> NotebookOutcome:
        """Run a notebook to its end.

        Raises:
            TimeoutError: It took longer than ``timeout`` seconds; it has been ended.
        """
        process = self._executor.notebook(request, host)
        with self._lock:
            if self._killed.is_set():
                return _LOST
            process.start()
            self._processes.append(process)
        try:
            return process.wait(timeout)
        except TimeoutError:
            process.kill()
            raise
        finally:
            with self._lock:
                self._processes.remove(process)

    def kill(self) -> None:
        """End all of them, and keep others from starting."""
        with self._lock:
            self._killed.set()
            processes = list(self._processes)
        for process in processes:
            process.kill()
