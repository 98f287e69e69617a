"""Leases: how clients share a group of servers, and how the last one to leave puts out the light.

The servers of a group are started by a supervisor process, which lives as long as anybody has a
lease. A lease is a shared lock on a file, so the kernel keeps count: it takes the lock back from a
client that exits, crashes or is killed. The supervisor waits for an exclusive lock on the same
file, gets it when the last lease is gone, and keeps it until everything has stopped; a client that
comes meanwhile waits at the lock and then starts a supervisor of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from blocks.local.children import StackError, last_complaint
from blocks.local.private_file import write_private

CORE = "core"
PREFECT = "prefect"

POLL_SECONDS = 0.05
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """What a supervisor says about its group.

    Attributes:
        supervisor: Its process id.
        ready: Names of the servers that answer, in the order in which they did.
        complete: Whether all do.
        details: How to reach them, secrets included.
        failure: The sentence for the user when the group could not be started or broke down; by
            then all of it has been stopped.
    """

    supervisor: int
    ready: tuple[str, ...] = ()
    complete: bool = False
    details: dict[str, str] = field(default_factory=dict, repr=False)
    failure: str | None = None


@dataclass(frozen=True)
class Group:
    """A group of servers in a state folder, and the files by which its processes agree.

    Attributes:
        state_dir: The state folder.
        name: Which group: ``CORE`` or ``PREFECT``; ``supervisor`` knows what they are made of.
    """

    state_dir: Path
    name: str

    @property
    def leases(self) -> Path:
        """Lock file: shared by clients, exclusive for a supervisor that is closing."""
        return self._run / f"{self.name}.leases"

    @property
    def supervisor(self) -> Path:
        """Lock file: exclusive for the life of the supervisor."""
        return self._run / f"{self.name}.supervisor"

    @property
    def servers(self) -> Path:
        """Lock file: held by every server's process, so until the last of them has ended."""
        return self._run / f"{self.name}.servers"

    @property
    def log(self) -> Path:
        """The supervisor's own log."""
        return self.state_dir / "logs" / f"{self.name}-supervisor.log"

    @property
    def _run(self) -> Path:
        return self.state_dir / "run"

    @property
    def _report(self) -> Path:
        return self._run / f"{self.name}.json"

    def make_folders(self) -> None:
        """Make the folders that the group's files are in."""
        for folder in (self.state_dir, self._run, self.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read_report(self) -> Report | None:
        """Return the supervisor's report, None when there is none."""
        try:
            content = json.loads(self._report.read_text())
        except FileNotFoundError:
            return None
        return Report(**content | {"ready": tuple(content["ready"])})

    def write_report(self, report: Report) -> None:
        """Replace the report."""
        write_private(self._report, json.dumps(asdict(report)))

    def remove_report(self) -> None:
        """Remove the report: what it says no longer holds."""
        self._report.unlink(missing_ok=True)


def lock(file: Path, mode: int = fcntl.LOCK_EX) -> int:
    """Wait for a lock on a file; return the descriptor that holds it until it is closed."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, mode)
    return descriptor


class Lease:
    """One client's lease on a group; use it as ``with leased(group) as lease``."""

    def __init__(self, group: Group) -> None:
        """Take the lease, after a supervisor that is just closing, and see to a supervisor."""
        group.make_folders()
        self._group = group
        self._descriptor = lock(group.leases, fcntl.LOCK_SH)
        self._started: subprocess.Popen[bytes] | None = None
        self._supervisor: int | None = None
        self._ensure_supervisor()

    def wait(self, on_ready: Callable[[str], None]) -> dict[str, str]:
        """Wait until all servers answer.

        Args:
            on_ready: Called with the name of each server once it answers.

        Returns:
            The details of the report.

        Raises:
            StackError: The group could not be started.
        """
        announced = 0
        while True:
            report = self._group.read_report()
            if report:
                self._supervisor = report.supervisor
                for name in report.ready[announced:]:
                    on_ready(name)
                announced = max(announced, len(report.ready))
                if report.failure:
                    raise StackError(report.failure)
                if report.complete:
                    return report.details
            self._ensure_supervisor()
            time.sleep(POLL_SECONDS)

    def release(self) -> None:
        """Give the lease back; when it was the last one, return after everything has stopped."""
        # Nobody else has a lease if it can be made exclusive. That briefly lets go of it; when the
        # supervisor was faster, not even a shared lock can be had.
        others = not _try_lock(self._descriptor, fcntl.LOCK_EX) and _try_lock(
            self._descriptor, fcntl.LOCK_SH
        )
        os.close(self._descriptor)
        if not others:
            self._wait_for_end()

    def _ensure_supervisor(self) -> None:
        """Start a supervisor if none is running."""
        descriptor = os.open(self._group.supervisor, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                return
            report = self._group.read_report()
            if self._started is not None:
                raise StackError(
                    report.failure
                    if report and report.failure
                    else f"The supervisor of the embedded stack ended: "
                    f"{last_complaint(self._group.log)} (log: {self._group.log})"
                )
            self._group.remove_report()
            self._started = self._start_supervisor(descriptor)
        finally:
            os.close(descriptor)

    def _start_supervisor(self, descriptor: int) -> subprocess.Popen[bytes]:
        """Start a supervisor, which inherits the lock: there is no moment without an owner."""
        command = [sys.executable, "-m", "blocks.local.supervisor"]
        self._group.log.touch(mode=0o600)
        with self._group.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 (our own command)
                [*command, str(self._group.state_dir), self._group.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._group.state_dir,
                pass_fds=[descriptor],
                umask=0o077,
                # Ctrl-C in the terminal is for the client, which needs the servers to clean up.
                start_new_session=True,
            )

    def _wait_for_end(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        descriptor = os.open(self._group.supervisor, os.O_RDWR)
        try:
            while time.monotonic() < deadline and not _try_lock(descriptor, fcntl.LOCK_SH):
                report = self._group.read_report()
                if report and self._supervisor not in (None, report.supervisor):
                    return  # a new one, which somebody else started meanwhile
                time.sleep(POLL_SECONDS)
        finally:
            os.close(descriptor)
        if self._started is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._started.wait(1)


@contextlib.contextmanager
def leased(group: Group) -> Iterator[Lease]:
    """Hold a lease on a group for the length of a ``with`` block."""
    lease = Lease(group)
    try:
        yield lease
    finally:
        lease.release()


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
