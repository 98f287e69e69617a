"""Plain Python files and shell cells, in processes of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blocks.local.workspace.notebook.contract import (
    NotebookFile,
    NotebookOutcome,
    NotebookRequest,
)
from blocks.local.workspace.notebook.process import NotebookProcess
from tests.blocks.local.workspace.notebook.desk import Desk, printed, source


def run(desk: Desk, request: NotebookRequest) -> NotebookOutcome:
    process = NotebookProcess(request, desk)
    process.start()
    return process.wait(60)


def script(desk: Desk, text: str, *arguments: str) -> NotebookOutcome:
    file = NotebookFile("/main.py", text, "SCRIPT")
    request = NotebookRequest(file, {}, desk.spark_remote, desk.dbfs, arguments=arguments)
    return run(desk, replace(request, environment={"GREETING": "hello"}))


def test_a_python_file_runs_as_main_with_arguments_and_environment(desk: Desk) -> None:
    text = """
import os, sys
if __name__ == "__main__":
    print(sys.argv, os.environ["GREETING"], __file__)
    # COMMAND ----------
    print(spark.range(3).count())
    sys.exit(0)
"""
    assert printed(script(desk, text, "--n", "1")) == "['/main.py', '--n', '1'] hello /main.py\n3\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def f():\n    raise ValueError('boom')\nf()", "ValueError: boom"),
        ("1 +", "SyntaxError: invalid syntax (main.py, line 1)"),
    ],
)
def test_what_fails_a_python_file(desk: Desk, text: str, error: str) -> None:
    outcome = script(desk, text)
    assert (outcome.status, outcome.error) == ("failed", error)
    if "boom" in text:
        assert outcome.error_trace.count("/main.py") == 2
        assert "raise ValueError('boom')" in outcome.error_trace


def shell(desk: Desk, cell: str, *, allowed: bool) -> NotebookOutcome:
    notebook = NotebookFile("/n", source(cell))
    return run(
        desk, NotebookRequest(notebook, {}, desk.spark_remote, desk.dbfs, shell_allowed=allowed)
    )


def test_shell_cells_run_where_they_are_allowed(desk: Desk) -> None:
    cell = "# MAGIC %sh\n# MAGIC echo $((20 + 22))\n# MAGIC false"
    assert printed(shell(desk, cell, allowed=True)) == "42\n"
    failing = shell(desk, "# MAGIC %sh -e\n# MAGIC false\n# MAGIC echo never", allowed=True)
    assert failing.status == "failed"
    assert "exit status 1" in failing.error


def test_so_do_shell_commands_within_python(desk: Desk) -> None:
    cell = "x = 3\n!echo {x} $x; exit 4\nlines = !echo a; echo b\nprint(_exit_code, lines)"
    assert printed(shell(desk, cell, allowed=True)) == "3 3\n4 ['a', 'b']\n"


def test_shell_cells_are_refused_otherwise(desk: Desk) -> None:
    outcome = shell(desk, "# MAGIC %sh\n# MAGIC echo no", allowed=False)
    assert outcome.status == "failed"
    assert "%sh" in outcome.error
