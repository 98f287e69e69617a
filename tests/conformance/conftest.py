"""The workspace under test: the one of the environment if it names one, else a local one.

``DATABRICKS_HOST`` and ``DATABRICKS_TOKEN`` name a real workspace; tasks run on serverless compute
or, with ``DATABRICKS_CLUSTER_ID``, on that cluster. Each check says in its docstring which rule it
covers, by the numbers of ``blocks/local/workspace/README.md``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import DatabricksError
from databricks.sdk.service.jobs import Task

from blocks.local.workspace.testing import running_workspace
from tests.conformance.target import Target, prepared


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse checks that do not name their rule."""
    here = Path(__file__).parent
    checks = [item for item in items if isinstance(item, pytest.Function)]
    for check in checks:
        if check.path.parent == here and not (check.function.__doc__ or "").startswith("§"):
            raise pytest.UsageError(f"The docstring of {check.nodeid} does not name its rule (§).")


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The workspace under test."""
    url, token = os.environ.get("DATABRICKS_HOST"), os.environ.get("DATABRICKS_TOKEN")
    if (url is None) != (token is None):
        pytest.fail("Set both DATABRICKS_HOST and DATABRICKS_TOKEN, or neither.")
    if url is not None and token is not None:
        client = WorkspaceClient(host=url, token=token)
        host = client.config.host.removeprefix("https://")
        cluster_id = os.environ.get("DATABRICKS_CLUSTER_ID")
        with prepared(client, host, token, None, cluster_id) as found:
            yield found
        return
    state_dir = tmp_path_factory.mktemp("workspace")
    with running_workspace(state_dir) as local, pytest.MonkeyPatch.context() as environment:
        ca_file = str(local.ca_file)
        environment.setenv("REQUESTS_CA_BUNDLE", ca_file)
        client = WorkspaceClient(host=local.url, token=local.token)
        with prepared(client, local.host, local.token, ca_file, None) as found:
            yield found


@pytest.fixture(scope="package")
def client(target: Target) -> WorkspaceClient:
    """Databricks' own client of it."""
    return target.client


@pytest.fixture(scope="package")
def create(target: Target) -> Iterator[Callable[..., int]]:
    """Create jobs, which are removed again."""
    made: list[int] = []

    def make(*tasks: Task, name: str = target.name, **settings: Any) -> int:
        response = target.client.jobs.create(name=name, tasks=list(tasks), **settings)
        assert response.job_id is not None
        made.append(response.job_id)
        return response.job_id

    yield make
    for job_id in made:
        with contextlib.suppress(DatabricksError):
            target.client.jobs.delete(job_id)
