"""dbutils, from within notebooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blocks.local.workspace.notebook.dbutils import Py4JJavaError, Widgets
from tests.blocks.local.workspace.notebook.desk import Desk, printed, source


def test_parameters_win_over_the_defaults_of_widgets(desk: Desk) -> None:
    outcome = desk.run(
        "dbutils.widgets.text('country', 'Norway', 'Country')\n"
        "dbutils.widgets.dropdown('source', 'wind', ['wind', 'solar'])\n"
        "dbutils.widgets.combobox('free', 'any', ['x'])\n"
        "dbutils.widgets.multiselect('many', 'a', ['a', 'b'], label='Many')\n"
        "print(dbutils.widgets.getAll())\n"
        "print(getArgument('country'), dbutils.widgets.getArgument('nothing', 'else'))\n"
        "dbutils.widgets.remove('free')\n"
        "print(len(dbutils.widgets.getAll()))\n"
        "dbutils.widgets.removeAll()\n"
        "print(dbutils.widgets.getAll())",
        country="Spain",
        given="only as a parameter",
    )
    assert printed(outcome).splitlines() == [
        "{'country': 'Spain', 'given': 'only as a parameter', 'source': 'wind', 'free': 'any', "
        "'many': 'a'}",
        "Spain else",
        "4",
        "{}",
    ]


def test_a_widget_that_is_not_defined(desk: Desk) -> None:
    outcome = desk.run("dbutils.widgets.get('x')")
    assert outcome.error == (
        "Py4JJavaError: com.databricks.dbutils_v1.InputWidgetNotDefined: "
        "No input widget named x is defined"
    )


def test_defaults_of_widgets_are_text_and_among_the_choices() -> None:
    widgets = Widgets({})
    with pytest.raises(TypeError, match=r"The default of widget 'n' must be text, not 5\."):
        widgets.text("n", 5)  # type: ignore[arg-type]  # as notebooks do
    with pytest.raises(Py4JJavaError, match="The default 'c' of widget 'n' is not one of its"):
        widgets.dropdown("n", "c", ["a", "b"])
    with pytest.raises(Py4JJavaError, match="InputWidgetNotDefined"):
        widgets.get("n")


def test_exit_ends_the_notebook_with_success(desk: Desk) -> None:
    outcome = desk.run(
        "print('before')\n"
        "try:\n"
        "    dbutils.notebook.exit('{\"rows\": 1}')\n"
        "except Exception:\n"
        "    print('caught')",
        "print('never')",
    )
    assert (outcome.status, outcome.result) == ("succeeded", '{"rows": 1}')
    assert (outcome.error, outcome.error_trace, outcome.cells[0].error) == ("", "", "")
    assert printed(outcome) == "before\n"


def test_exit_in_an_included_notebook_ends_the_whole(desk: Desk) -> None:
    desk.notebooks["/Shared/renewables/leave"] = source("dbutils.notebook.exit('left')")
    outcome = desk.run("# MAGIC %run ./leave", "print('never')")
    assert (outcome.result, printed(outcome)) == ("left", "")


def test_a_notebook_without_exit_has_no_result_and_a_long_one_is_cut_off(desk: Desk) -> None:
    assert desk.run("1").result is None
    result = desk.run("dbutils.notebook.exit('é' * 5_000_000)").result
    assert result is not None
    assert len(result.encode()) == 5 * 1024 * 1024


def test_running_another_notebook(desk: Desk) -> None:
    desk.notebooks["/Shared/renewables/child"] = source(
        "country = dbutils.widgets.get('country')", "dbutils.notebook.exit(country.upper())"
    )
    desk.notebooks["/Shared/silent"] = source("1")
    outcome = desk.run(
        "print(dbutils.notebook.run('child', 60, {'country': 'Norway'}))",
        "print(repr(dbutils.notebook.run('/Shared/silent', 60)))",
    )
    assert printed(outcome) == "NORWAY\n''\n"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("run('bad', 60)", "FAILED: /Shared/renewables/bad: ZeroDivisionError: division by zero"),
        ("run('missing', 60)", "Notebook not found: /Shared/renewables/missing"),
        ("run('slow', 1)", "TIMEDOUT: /Shared/renewables/slow took over 1 s"),
    ],
)
def test_how_another_notebook_can_fail(desk: Desk, call: str, reason: str) -> None:
    desk.notebooks["/Shared/renewables/bad"] = source("1 / 0")
    desk.notebooks["/Shared/renewables/slow"] = source("import time\ntime.sleep(60)")
    outcome = desk.run(f"dbutils.notebook.{call}")
    assert outcome.error == f"Py4JJavaError: com.databricks.WorkflowException: {reason}"


def test_secrets_show_nowhere(desk: Desk) -> None:
    desk.secrets = {"db": {"password": "hunter2", "other": "x"}, "empty": {}}
    outcome = desk.run(
        "password = dbutils.secrets.get('db', 'password')\n"
        "print(len(password), password)\n"
        "print(dbutils.secrets.getBytes('db', 'password'))\n"
        "print([s.key for s in dbutils.secrets.list('db')])\n"
        "print([s.name for s in dbutils.secrets.listScopes()])\n"
        "display(spark.createDataFrame([(password,)], ['p']))\n"
        "password",
        "raise ValueError('the password is ' + password)",
    )
    assert outcome.error == "ValueError: the password is [REDACTED]"
    assert "hunter2" not in repr(outcome)
    assert "hunter2" not in repr(desk.changes)
    assert outcome.cells[0].outputs[0].data.splitlines() == [
        "7 [REDACTED]",
        "b'[REDACTED]'",
        "['password', 'other']",
        "['db', 'empty']",
    ]


def test_secrets_that_do_not_exist(desk: Desk) -> None:
    assert desk.run("dbutils.secrets.get('a', 'b')").error == (
        "Py4JJavaError: java.lang.IllegalArgumentException: "
        "Secret does not exist with scope: a and key: b"
    )
    assert "Scope does not exist: a" in desk.run("dbutils.secrets.list('a')").error


def test_task_values_go_from_task_to_task(desk: Desk) -> None:
    desk.task_values["before", "rows"] = "[1, null]"
    outcome = desk.run(
        "values = dbutils.jobs.taskValues\n"
        "print(values.get('before', 'rows'), values.get(taskKey='x', key='y', default=0))\n"
        "values.set('years', {'n': 2})"
    )
    assert printed(outcome) == "[1, None] 0\n"
    assert json.loads(desk.task_values["join_data", "years"]) == {"n": 2}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("get('x', 'y')", "ValueError: No task value with key 'y' was set by task 'x'"),
        ("set('x', 'a' * 50_000)", "ValueError: The task value 'x' is larger than 48 KiB as JSON."),
        ("set('x', {1, 2})", "TypeError: "),
    ],
)
def test_how_task_values_can_fail(desk: Desk, call: str, error: str) -> None:
    assert desk.run(f"dbutils.jobs.taskValues.{call}").error.startswith(error)
    assert desk.task_values == {}


def test_task_values_outside_a_job(desk: Desk) -> None:
    desk.context = {}
    outcome = desk.run(
        "dbutils.jobs.taskValues.set('a', 1)\n"
        "print(dbutils.jobs.taskValues.get('t', 'k', default=1, debugValue=2))",
    )
    assert printed(outcome) == "2\n"
    assert desk.run("dbutils.jobs.taskValues.get('t', 'k', 1)").error.startswith(
        "TypeError: Must pass debugValue when calling get outside of a job context."
    )


def test_a_notebook_can_ask_about_its_run(desk: Desk) -> None:
    outcome = desk.run(
        "context = dbutils.notebook.entry_point.getDbutils().notebook().getContext()\n"
        "print(context.notebookPath().get(), context.tags().get('jobId').get())\n"
        "print(context.toJson())"
    )
    first, facts = printed(outcome).splitlines()
    assert first == "/Shared/renewables/main 11"
    assert json.loads(facts) == {
        "currentRunId": {"id": 33},
        "extraContext": {"notebook_path": "/Shared/renewables/main"},
        "tags": {
            "jobId": "11",
            "multitaskParentRunId": "22",
            "runId": "33",
            "taskKey": "join_data",
        },
    }


def test_files_of_this_machine(desk: Desk, tmp_path: Path) -> None:
    outcome = desk.run(
        f"print(dbutils.fs.put('file:{tmp_path}/x.txt', 'hello'))\n"
        f"print([entry.name for entry in dbutils.fs.ls('{tmp_path}')])"
    )
    assert printed(outcome) == "True\n['x.txt']\n"
