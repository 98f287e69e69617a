"""The examples in the docstrings of the Databricks block run as they stand."""

import inspect
import re
import textwrap
from pathlib import Path
from uuid import uuid4

import pytest

from blocks.databricks import DatabricksJob, DatabricksRun, NotebookTask
from blocks.databricks.client import JobsClient
from flows.connections import Connections


def example(documented: type[object]) -> str:
    """Return the code in a class's docstring."""
    (code,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(documented) or "", re.DOTALL)
    return textwrap.dedent(str(code))


@pytest.mark.slow
def test_the_examples_run(
    connections: Connections, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fails_once.py").write_text(
        "# Databricks notebook source\n"
        "from pathlib import Path\n"
        f"again = Path({str(tmp_path / 'again')!r})\n"
        "if not again.exists():\n"
        "    again.touch()\n"
        "    raise RuntimeError('once')\n"
        "# COMMAND ----------\n"
        "dbutils.notebook.exit('the result')\n"
    )
    name = f"example-{uuid4()}"
    job = DatabricksJob(
        databricks_credentials=connections.load_databricks_job().databricks_credentials,
        job_name=name,
        tasks=[NotebookTask(task_key="only", notebook=str(tmp_path / "fails_once.py"))],
    )
    job.save(name)
    names: dict[str, object] = {}
    exec(example(DatabricksJob).replace('"renewables"', repr(name)), names)
    assert capsys.readouterr().out.strip() == "{'only': 'the result'}"

    run = names["run"]
    assert isinstance(run, DatabricksRun)
    code = example(JobsClient).replace("900", str(run.run_id))
    exec(
        "from prefect_databricks import DatabricksCredentials\n" + code, {"JobsClient": JobsClient}
    )
    assert "life_cycle_state" in capsys.readouterr().out
