"""The programs that a process starts for itself, each ending with it.

Every child has a pipe on its standard input whose end means "stop". The kernel closes that pipe
when the parent dies, however it dies, so that nothing is left behind.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_SECONDS = 0.03
STOP_SECONDS = 15.0

_COMPLAINT = re.compile(r"error|fatal|fail|panic|cannot|could not|exception|denied", re.IGNORECASE)


class StackError(RuntimeError):
    """A part of the embedded stack does not start or has ended: one sentence for the user."""


@dataclass(frozen=True)
class Child:
    """A running child process.

    Attributes:
        name: What the user calls it (``PostgreSQL``).
        log: The file that has its standard error.
        process: The process; its standard input is the pipe that keeps it alive.
    """

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def wait_until(self, answers: Callable[[], bool], *, within: float = 60.0) -> None:
        """Return as soon as ``answers()`` is true.

        Args:
            answers: Asks the child once, without waiting for long.
            within: Seconds after which it counts as failed.

        Raises:
            StackError: The child ended, or did not answer in time.
        """
        deadline = time.monotonic() + within
        while not answers():
            if self.process.poll() is not None:
                raise StackError(self.complaint("did not start"))
            if time.monotonic() > deadline:
                raise StackError(self.complaint(f"did not answer within {within:.0f} s"))
            time.sleep(POLL_SECONDS)

    def complaint(self, what: str) -> str:
        """Return one sentence: this child, what happened to it, its reason, its log file."""
        return f"{self.name} {what}: {last_complaint(self.log)} (log: {self.log})"

    def stop(self) -> None:
        """Ask the child to stop, by the end of its input, and wait until it has."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Children:
    """The children of this process: stopped, last started first, at the end of a ``with`` block.

    Safe to be used from several threads, so that children can be started side by side.
    """

    def __init__(self, *, inherited: Sequence[int] = ()) -> None:
        """Start with no children.

        Args:
            inherited: File descriptors that each child keeps open, such as that of a lock which
                is to be held until the last of them has ended.
        """
        self._inherited = tuple(inherited)
        self._children: list[Child] = []
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        environment: Mapping[str, str],
    ) -> Child:
        """Start a child that stops at the end of its standard input.

        Args:
            name: What the user calls it.
            command: Program and arguments; no secrets, because every user can read them.
            log: File for its standard error, written anew. Its standard output is dropped: no
                server logs there, and the workspace prints its token.
            folder: Its working directory.
            environment: All its environment variables.

        Raises:
            StackError: The children are being stopped.
        """
        with self._lock:
            if self._closed:
                raise StackError(f"{name} was not started: the stack is being stopped")
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            log.touch(mode=0o600)
            with log.open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603 (our own commands)
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=folder,
                    env=environment,
                    pass_fds=self._inherited,
                    umask=0o077,
                    # A group of its own: a signal to this process's group must not reach what is
                    # to outlive it by the moment that a stop in good order takes.
                    start_new_session=True,
                )
            child = Child(name, log, process)
            self._children.append(child)
            return child

    def finish(self, child: Child) -> None:
        """Wait for a child that ends by itself when its work is done.

        Raises:
            StackError: It ended with an exit status other than 0.
        """
        if child.process.wait() != 0:
            raise StackError(child.complaint("failed"))
        with self._lock:
            self._children.remove(child)

    def ended(self) -> Child | None:
        """Return a child that has ended although nobody stopped it."""
        with self._lock:
            children = list(self._children)
        return next((child for child in children if child.process.poll() is not None), None)

    def stop(self) -> None:
        """Stop all children, last started first; no more can be started."""
        with self._lock:
            self._closed = True
            children = list(reversed(self._children))
        for child in children:
            child.stop()


def environment_without(*prefixes: str) -> dict[str, str]:
    """Return this process's environment without the variables of these prefixes.

    A server that we configure must not pick up what the user has set for another one.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def last_complaint(log: Path) -> str:
    """Return the line of a log that best says what went wrong: the last one that complains."""
    try:
        text = log.read_text("utf-8", errors="replace")
    except OSError:
        return "it left no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    return (complaints or lines or ["it left no message"])[-1]
