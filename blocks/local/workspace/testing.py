"""A fresh workspace for a test: a real server on a free port.

In a ``conftest.py``::

    from blocks.local.workspace.testing import workspace

    __all__ = ["workspace"]

and in a test::

    def test_me(workspace: RunningWorkspace) -> None:
        with workspace.client() as client:
            assert client.get("/api/2.0/preview/scim/v2/Me").json()["active"]

No Spark engine is started until a task needs one.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

_STOP_SECONDS = 10


@dataclass(frozen=True)
class RunningWorkspace:
    """A workspace that answers.

    Attributes:
        url: ``https://localhost:PORT``.
        http_url: ``http://localhost:PORT``, the same over plain HTTP.
        token: Bearer token of the API.
        ca_file: Certificate authority to trust, for ``verify``.
        state_dir: Where it keeps everything.
        pid: Its process.
    """

    url: str
    http_url: str
    token: str
    ca_file: Path
    state_dir: Path
    pid: int

    @property
    def host(self) -> str:
        """``localhost:PORT``, as Databricks clients want their host without a scheme."""
        return self.url.removeprefix("https://")

    def client(self) -> httpx.Client:
        """Return a client that trusts the workspace and sends its token."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            verify=ssl.create_default_context(cafile=str(self.ca_file)),
            timeout=30,
        )


@contextmanager
def running_workspace(state_dir: Path) -> Iterator[RunningWorkspace]:
    """Run a workspace on a state folder, in a process that never outlives this one.

    Args:
        state_dir: Made if it is missing; what an earlier workspace left there is kept.
    """
    command = [sys.executable, "-m", "blocks.local.workspace", "--http", "--stop-on-stdin-eof"]
    with subprocess.Popen(  # noqa: S603 (our own module)
        [*command, "--state-dir", str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise RuntimeError("The local workspace did not start; standard error says why.")
            ready = json.loads(line)
            yield RunningWorkspace(
                url=ready["url"],
                http_url=ready["http_url"],
                token=ready["token"],
                ca_file=Path(ready["ca_file"]),
                state_dir=state_dir,
                pid=ready["pid"],
            )
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[RunningWorkspace]:
    """A fresh workspace."""
    with running_workspace(tmp_path / "workspace") as running:
        yield running
