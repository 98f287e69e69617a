"""Notebooks as processes: started, served while they run, ended."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from blocks.local.workspace.notebook import worker
from blocks.local.workspace.notebook.channel import Call, CellChanged, Ended, answer
from blocks.local.workspace.notebook.contract import (
    CellOutput,
    Host,
    NotebookOutcome,
    NotebookRequest,
)

_GOODBYE_SECONDS = 1.0

_unfinished: weakref.WeakSet[NotebookProcess] = weakref.WeakSet()


def prepare() -> None:
    """Begin to load in the background what every notebook imports; return at once.

    The first notebook does it otherwise. On macOS, where a process that uses system frameworks
    cannot be forked safely, each notebook loads for itself.
    """
    context = _context()
    if isinstance(context, ForkServerContext):
        context.set_forkserver_preload([worker.PRELOAD])
        multiprocessing.forkserver.ensure_running()


def _context() -> ForkServerContext | SpawnContext:
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class _Started:
    """What an execution has taken from the system, to be given back at its end."""

    process: ForkServerProcess | SpawnProcess
    pipe: Connection[Any, Any]
    folder: Path


class NotebookProcess:
    """One execution of a notebook, in a process and a working directory of its own.

    The process sees no credentials of the workspace. It ends with all its children when the
    notebook ends, when it is killed, and when the workspace's process ends, however that happens.

    Args:
        request: What to run.
        host: Answers the notebook's requests.

    Example:
        >>> process = NotebookProcess(request, host)
        >>> process.start()
        >>> process.wait().status
        'succeeded'
    """

    def __init__(self, request: NotebookRequest, host: Host) -> None:
        self._request = request
        self._host = host
        self._cells: dict[int, CellOutput] = {}
        self._outcome: NotebookOutcome | None = None
        # `kill` may come from another thread while this one starts, waits or cleans up.
        self._lock = threading.Lock()
        self._started: _Started | None = None
        self._killed = False
        self._gone = False

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return self._started.process.pid if self._started else None

    def start(self) -> None:
        """Start the process, unless it was killed before."""
        prepare()
        context = _context()
        with self._lock:
            if self._killed:
                return
            folder = Path(tempfile.mkdtemp(prefix="notebook-"))
            pipe, remote_end = context.Pipe()
            process = context.Process(target=worker.run, args=(self._request, remote_end, folder))
            process.start()
            remote_end.close()
            self._started = _Started(process, pipe, folder)
            _unfinished.add(self)

    def wait(self, timeout: float | None = None) -> NotebookOutcome:
        """Answer the notebook's requests, on this thread, until it has ended.

        Args:
            timeout: Seconds; None for no limit.

        Returns:
            How it ended; always ``lost`` after `kill`.

        Raises:
            TimeoutError: If it has not ended in time. It goes on; wait again, or kill it.
            RuntimeError: If it was not started.
            Exception: What the host raised; the notebook has ended then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._outcome is None:
            if self._started:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                self._serve(self._started, left)
            elif self._killed:
                self._outcome = self._lost()
            else:
                raise RuntimeError("The notebook was not started.")
        return self._outcome

    def kill(self) -> None:
        """End the process and its children at once, from any thread and at any time."""
        with self._lock:
            self._killed = True
            if self._started and not self._gone:
                _kill_group(self._started.process)
                # Here too, because nobody may wait for it any more.
                shutil.rmtree(self._started.folder, ignore_errors=True)

    def _serve(self, started: _Started, timeout: float | None) -> None:
        """Wait for one message or the end of the process, and act on it."""
        ready = connection.wait([started.pipe, started.process.sentinel], timeout)
        if not ready:
            raise TimeoutError("The notebook has not ended in time.")
        # Without a message it has died, though a child of it may still hold the pipe open.
        message = _received(started.pipe) if started.pipe in ready else None
        match message:
            case Call():
                self._answer(started, message)
            case CellChanged(cell):
                self._cells[cell.index] = cell
                if cell.started:
                    self._host.cell_changed(cell)
            case Ended(outcome):
                self._give_back(started)
                self._outcome = self._lost() if self._killed else outcome
            case None:
                self._give_back(started)
                self._outcome = self._lost()

    def _answer(self, started: _Started, call: Call) -> None:
        try:
            reply = answer(self._host, call)
        except Exception:
            self.kill()
            self._give_back(started)
            self._outcome = self._lost()
            raise
        # It may have been killed in the meantime.
        with suppress(ConnectionError):
            started.pipe.send(reply)

    def _give_back(self, started: _Started) -> None:
        started.process.join(_GOODBYE_SECONDS)
        with self._lock:
            _kill_group(started.process)
            started.process.join()
            self._gone = True
            started.pipe.close()
            shutil.rmtree(started.folder, ignore_errors=True)
            _unfinished.discard(self)

    def _lost(self) -> NotebookOutcome:
        cells = tuple(self._cells[index] for index in sorted(self._cells))
        return NotebookOutcome(
            "lost", error="The Python process of the notebook ended without a result.", cells=cells
        )


def _received(pipe: Connection[Any, Any]) -> object:
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        return None


def _kill_group(process: ForkServerProcess | SpawnProcess) -> None:
    """End a notebook's process, and what is left of its group when it has ended itself."""
    if process.pid is None:
        return
    # macOS says that it is not permitted, when all that is left are zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
        return
    # It has not come to lead a group yet.
    process.kill()


@atexit.register
def _kill_unfinished() -> None:
    # multiprocessing waits for its processes when the interpreter exits.
    for notebook in list(_unfinished):
        notebook.kill()
