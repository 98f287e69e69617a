"""A server for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks.databricks.scripted import Scripted, scripted_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    """A server that answers as it is told."""
    with scripted_server(tmp_path) as server:
        yield server
