"""One Spark cluster for all tests of notebooks, and a workspace for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from blocks.local.workspace.notebook.cluster import SparkCluster
from tests.blocks.local.workspace.notebook.desk import Desk


@pytest.fixture(scope="session")
def cluster() -> Iterator[SparkCluster]:
    cluster = SparkCluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def desk(cluster: SparkCluster) -> Desk:
    return Desk(cluster.remote)
