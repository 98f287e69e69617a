"""Looks after a flow run whose process is killed together with the worker that started it.

A worker reports a process of its that dies, and runs the hooks of one that it ends. But a worker
that is stopped kills the processes of its flow runs at once, and then nobody is left to do either:
the flow run would show as running for ever, and its job run would go on.

So each flow run has a small process beside it that sleeps until the flow run lets go of a pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_GOODBYE = b"over"
# A worker that is being stopped ends a little after the processes that it kills.
_WORKER_ENDS_SECONDS = 15.0
# Whatever happens, nothing of a flow run is left for longer.
_AT_MOST_SECONDS = 60


@contextmanager
def watchdog(flow_run_id: str) -> Iterator[None]:
    """Have a process of its own look after this flow run while the ``with`` block runs.

    Args:
        flow_run_id: The flow run.
    """
    command = [sys.executable, "-m", __name__, flow_run_id, str(os.getppid())]
    with subprocess.Popen(  # noqa: S603  # our own command
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as dog:
        try:
            yield
        finally:
            dog.communicate(_GOODBYE)


def main(flow_run_id: str, worker: int) -> None:
    """Wait for the end of a flow run's process, and end what is left if its worker has ended, too.

    Args:
        flow_run_id: The flow run.
        worker: Id of the process that started the one of the flow run.
    """
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    if sys.stdin.buffer.read() == _GOODBYE:
        return
    deadline = time.monotonic() + _WORKER_ENDS_SECONDS
    while _is_alive(worker):
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)
    signal.alarm(_AT_MOST_SECONDS)
    # Takes a second or two, and is hardly ever needed.
    from flows.adopting import end_abandoned

    end_abandoned(flow_run_id)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
