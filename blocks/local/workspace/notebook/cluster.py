"""A Spark cluster on this machine: one Sail server in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import IO, cast

from blocks.local.workspace.notebook.environment import engine_environment

_STOP_SECONDS = 5


class SparkClusterError(RuntimeError):
    """The Spark engine did not start."""


class SparkCluster:
    """A running Spark Connect server, with the object storage credentials of this process.

    It has no authentication: it listens on the loopback interface only. It ends with `stop`, and
    also when the process that started it ends, however that happens.

    Example:
        >>> cluster = SparkCluster.start()
        >>> cluster.remote
        'sc://127.0.0.1:50051'
        >>> cluster.stop()
    """

    def __init__(self, process: subprocess.Popen[str], remote: str) -> None:
        self._process = process
        self.remote = remote

    @classmethod
    def start(cls) -> SparkCluster:
        """Start a server and wait until it accepts connections.

        Raises:
            SparkClusterError: If it ends instead; the message has its last words.
        """
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "blocks.local.workspace.notebook.sail"],
                # The server ends when this pipe closes, which the kernel does for a killed parent.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=engine_environment(os.environ) | {"RUST_LOG": "error"},
                # Ctrl-C in a terminal reaches the workspace, which then stops its clusters.
                start_new_session=True,
            )
            remote = cast("IO[str]", process.stdout).readline().strip()
            if remote:
                return cls(process, remote)
            process.wait()
            log.seek(0)
            words = log.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise SparkClusterError(f"The Spark engine (Sail) did not start: {words[0]}")

    @property
    def alive(self) -> bool:
        """Whether the server's process is running."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and wait until it has gone. Doing so twice does no harm."""
        try:
            self._process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
