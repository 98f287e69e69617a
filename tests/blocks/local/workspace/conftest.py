"""Fixtures of the workspace's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from blocks.local.workspace.testing import (
    RunningWorkspace,
    running_workspace,
    workspace,
    workspace_options,
)
from tests.blocks.local.workspace.fake import Bench

__all__ = ["workspace", "workspace_options"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A workspace inside this process whose notebooks are scripted."""
    with Bench.on(tmp_path / "workspace.db") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    """A real server that the tests of a module share."""
    with running_workspace(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningWorkspace) -> Iterator[httpx.Client]:
    """A client of that server."""
    with server.client() as connected:
        yield connected
