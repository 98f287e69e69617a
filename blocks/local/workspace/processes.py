"""The processes of one attempt: its notebook, the notebooks that this one runs, and pip."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from blocks.local.workspace.executor import Executor
from blocks.local.workspace.notebook.contract import Host, NotebookOutcome, NotebookRequest

# How long it takes at most until a killed task stops waiting for a slot.
_SLOT_SECONDS = 0.1
_LOST = NotebookOutcome(status="lost")


class _Process(Protocol):
    """What can be ended from another thread."""

    def kill(self) -> None: ...


class _Command:
    """A command that was started, with a process group of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (pip, see ``overlay``)
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def wait(self) -> subprocess.CompletedProcess[str]:
        output, _ = self._process.communicate()
        return subprocess.CompletedProcess(self._process.args, self._process.returncode, output)

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class ProcessGroup:
    """The processes of one attempt; they end together.

    Args:
        executor: Makes the processes.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._killed = threading.Event()
        self._processes: list[_Process] = []

    @property
    def killed(self) -> bool:
        """Whether they have been ended from outside."""
        return self._killed.is_set()

    def wait_until(self, earliest: float) -> None:
        """Wait for a moment of the monotonic clock, or until the group is killed."""
        self._killed.wait(max(0.0, earliest - time.monotonic()))

    @contextmanager
    def slot(self, slots: threading.Semaphore) -> Iterator[None]:
        """Hold one of the slots; once the group is killed there is nothing to wait for."""
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

    def command(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output, standard error included.

        Once the group is killed, nothing is run, and the status is that of a killed process.
        """
        with self._lock:
            if self._killed.is_set():
                return subprocess.CompletedProcess(command, -signal.SIGKILL, "")
            process = _Command(command, environment)
            self._processes.append(process)
        try:
            return process.wait()
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
