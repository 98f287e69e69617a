"""A fuzzer, on the description of the API that the workspace publishes, finds no 500."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.local.workspace.testing import RunningWorkspace


@pytest.mark.slow
def test_no_request_makes_the_workspace_fail(server: RunningWorkspace, tmp_path: Path) -> None:
    fuzzer = Path(sys.executable).with_name("schemathesis")
    options = {
        "--header": f"Authorization: Bearer {server.token}",
        "--checks": "not_a_server_error",
        "--phases": "coverage,fuzzing",
        # The same code as 2.2 or 2.0; and each cluster that is made is a process.
        "--exclude-path-regex": "^/api/2.1/(jobs|clusters)/",
        "--max-examples": "25",
        "--seed": "1",
        "--suppress-health-check": "all",
        "--warnings": "off",
    }
    done = subprocess.run(
        [
            fuzzer,
            "run",
            f"{server.http_url}/openapi.json",
            *(text for option in options.items() for text in option),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
