"""A fresh workspace for a test: a real server on a free port.

This module is a pytest plugin: with this package installed, every test can have a workspace::

    def test_the_client_reads_the_history_after_a_lost_answer(workspace: RunningWorkspace) -> None:
        workspace.faults.add("cut", endpoint="POST jobs/runs/repair", when="after")
        ...
        assert len(workspace.journal("POST jobs/runs/repair")) == 1

No Spark engine is started until a task needs one. A test that wants other options of the server
overrides the fixture ``workspace_options``; outside of pytest, use ``running_workspace``.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from blocks.local.workspace.faults.endpoints import matches
from blocks.local.workspace.prefork import start

if TYPE_CHECKING:
    import httpx

_STOP_SECONDS = 10


@dataclass(frozen=True)
class Request:
    """A request that the workspace received. What is secret in it reads ``[REDACTED]``.

    Attributes:
        time: When, in epoch milliseconds.
        method: ``GET`` …
        path: Without the query.
        query: The arguments in the address.
        body: The JSON of the body; None without one, a text if it was something else.
        status: Of the answer; None if the connection was cut instead.
        fault: Kind of the fault that struck; None if none did.
    """

    time: int
    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int | None
    fault: str | None


class Faults:
    """The faults of a workspace.

    Args:
        workspace: The workspace, which was started with ``--faults``.
    """

    def __init__(self, workspace: RunningWorkspace) -> None:
        self._workspace = workspace

    def add(self, kind: str, **settings: object) -> None:
        """Ask for a fault.

        Args:
            kind: ``cut``, ``unavailable``, ``exception`` … (``faults.specs`` has them all).
            **settings: ``endpoint`` or ``task``, ``times`` or ``probability``, and what belongs to
                the kind.

        Raises:
            ValueError: There is no such fault; the text says why.
        """
        self._workspace.side_api("POST", "faults", {"kind": kind, **settings})

    def armed(self) -> list[dict[str, Any]]:
        """Return the faults; ``met`` and ``struck`` are how often each could have, and has."""
        found: list[dict[str, Any]] = self._workspace.side_api("GET", "faults")["faults"]
        return found

    def clear(self) -> None:
        """Forget all faults."""
        self._workspace.side_api("DELETE", "faults")


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

    @classmethod
    def of_ready_line(cls, ready: Mapping[str, Any], state_dir: Path) -> Self:
        """Return the workspace that has announced itself.

        Args:
            ready: What it prints, and writes into its ready file, when it answers.
            state_dir: Its state folder.
        """
        return cls(
            url=ready["url"],
            http_url=ready["http_url"],
            token=ready["token"],
            ca_file=Path(ready["ca_file"]),
            state_dir=state_dir,
            pid=ready["pid"],
        )

    @property
    def host(self) -> str:
        """``localhost:PORT``, as Databricks clients want their host without a scheme."""
        return self.url.removeprefix("https://")

    def client(self) -> httpx.Client:
        """Return a client that trusts the workspace and sends its token."""
        # Not at the top: pytest loads this module whether a test needs it or not.
        import httpx

        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            verify=ssl.create_default_context(cafile=str(self.ca_file)),
            timeout=30,
        )

    @property
    def faults(self) -> Faults:
        """The faults that it does on demand."""
        return Faults(self)

    def journal(self, endpoint: str = "* *") -> list[Request]:
        """Return the API requests that it received, oldest first.

        Args:
            endpoint: Only these: ``POST jobs/runs/repair``, ``GET jobs/*``.
        """
        entries = [Request(**item) for item in self.side_api("GET", "journal")["requests"]]
        return [item for item in entries if matches(endpoint, item.method, item.path)]

    def clear_journal(self) -> None:
        """Forget the requests that it received."""
        self.side_api("DELETE", "journal")

    def side_api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
        """Return the JSON of an answer of the side API.

        Raises:
            ValueError: It refuses the request; the text says why.
        """
        with self.client() as client:
            answer = client.request(method, f"/local/{path}", json=body)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise ValueError("This workspace was started without --faults: it has no side API.")
        if answer.is_client_error:
            raise ValueError(answer.json()["message"])
        return answer.raise_for_status().json()


@contextmanager
def running_workspace(state_dir: Path, *options: str) -> Iterator[RunningWorkspace]:
    """Run a workspace on a state folder, in a process that never outlives this one.

    Args:
        state_dir: Made if it is missing; what an earlier workspace left there is kept.
        *options: Further options of ``python -m blocks.local.workspace``: ``--faults`` …
    """
    arguments = ["--http", "--stop-on-stdin-eof", "--state-dir", str(state_dir), *options]
    with start(arguments) as stream, stream.makefile() as output:
        line = output.readline()
        if not line:
            raise RuntimeError("The local workspace did not start; standard error says why.")
        ready = json.loads(line)
        try:
            yield RunningWorkspace.of_ready_line(ready, state_dir)
        finally:
            # It ends when it reads the end of its input, and its output ends with it.
            stream.shutdown(socket.SHUT_WR)
            stream.settimeout(_STOP_SECONDS)
            output.read()


@pytest.fixture
def workspace_options() -> Sequence[str]:
    """The options that ``workspace`` is started with; override it to have others."""
    return ("--faults",)


@pytest.fixture
def workspace(tmp_path: Path, workspace_options: Sequence[str]) -> Iterator[RunningWorkspace]:
    """A fresh workspace."""
    with running_workspace(tmp_path / "workspace", *workspace_options) as running:
        yield running
