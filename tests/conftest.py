"""What all tests share: a Prefect home of their own, and real servers of the embedded stack."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Prefect reads these when it is imported, which test modules do.
_home = tempfile.TemporaryDirectory(prefix="renewables-tests-")
HOME = Path(_home.name)
os.environ.update(
    PREFECT_HOME=str(HOME / "prefect"),
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
)

import pytest  # noqa: E402 (see above)

from blocks.local import object_store as seaweedfs  # noqa: E402
from blocks.local import postgres  # noqa: E402
from blocks.local.children import Children  # noqa: E402
from blocks.local.stack import StackDetails, embedded_stack  # noqa: E402


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL server that all tests share."""
    with Children() as children:
        yield postgres.start(children, HOME / "postgres", HOME / "logs" / "postgres.log")


@pytest.fixture(scope="session")
def object_store() -> Iterator[seaweedfs.ObjectStore]:
    """An S3 server, with its bucket, that all tests share."""
    folder = HOME / "object-store"
    store = seaweedfs.reserve(folder)
    with Children() as children:
        seaweedfs.start(children, store, folder, HOME / "logs" / "object-store.log")
        yield store


@pytest.fixture(scope="session")
def stack() -> Iterator[StackDetails]:
    """A whole embedded stack that all tests share, without a Prefect server."""
    with embedded_stack(HOME / "stack", prefect_server=False) as details:
        yield details
