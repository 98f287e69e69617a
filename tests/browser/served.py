"""The whole project as ``renewables up`` serves it, for a browser to look at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.local.workspace.testing import RunningWorkspace


@dataclass(frozen=True)
class Served:
    """A project that is served.

    Attributes:
        url: The Prefect UI, as the command prints it.
        workspace: The Databricks workspace, which fails on demand.
    """

    url: str
    workspace: RunningWorkspace

    def fail_transform_data(self, times: int) -> None:
        """Make the next attempts of the second notebook fail, and forget earlier API calls."""
        error = "ValueError: The column Wind is missing"
        self.workspace.faults.add("exception", task="transform_data", error=error, times=times)
        self.workspace.clear_journal()

    def calls(self, endpoint: str) -> int:
        """Return how often the Databricks API was asked for something since then."""
        return len(self.workspace.journal(endpoint))


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve the project from a folder, until the ``with`` block is left."""
    # Not those of the tests' own Prefect.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    with subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "up"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert process.stdout.readline().strip() == "ready"
            state_dir = folder / ".renewables" / "workspace"
            ready = json.loads((state_dir / "ready.json").read_text())
            yield Served(url, RunningWorkspace.of_ready_line(ready, state_dir))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
