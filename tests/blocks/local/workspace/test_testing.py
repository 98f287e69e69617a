"""The pytest plugin, as tests of other projects use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.local.workspace.testing import RunningWorkspace

ELSEWHERE = """
import pytest

def test_a_fresh_workspace_with_faults(workspace):
    workspace.faults.add("unavailable", endpoint="GET jobs/list")
    with workspace.client() as client:
        assert client.get("/api/2.2/jobs/list").status_code == 503
        assert client.get("/api/2.2/jobs/list").json() == {}
    assert [item.status for item in workspace.journal()] == [503, 200]

class TestOtherOptions:
    @pytest.fixture
    def workspace_options(self):
        return ()

    def test_a_workspace_without_faults(self, workspace):
        with workspace.client() as client:
            assert client.get("/local/faults").status_code == 404
"""


def test_its_fixtures_are_all_that_a_test_needs(tmp_path: Path) -> None:
    (tmp_path / "test_elsewhere.py").write_text(ELSEWHERE)
    command = [sys.executable, "-m", "pytest", "-q"]
    options = ["-p", "no:cacheprovider", f"--basetemp={tmp_path / 'pytest'}"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_says_when_the_workspace_has_no_side_api(server: RunningWorkspace) -> None:
    with pytest.raises(ValueError, match="was started without --faults"):
        server.journal()
