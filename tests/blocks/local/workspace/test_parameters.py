"""Parameters reach notebooks with the right precedence and with their references resolved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace import states
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.parameters import job_parameters, notebook_parameters
from blocks.local.workspace.references import UnknownReferenceError, reference_values, resolve
from blocks.local.workspace.runs import Attempt, Parameters, Round, Run, RunType
from blocks.local.workspace.specs import task_spec

NOTEBOOK = {"task_key": "use", "notebook_task": {"notebook_path": "/n"}}
LOAD = Attempt(10, task_spec({**NOTEBOOK, "task_key": "load"}), 0, 0, states.SUCCEEDED)
USE = Attempt(11, task_spec(NOTEBOOK), 2, 1, states.PENDING)
ROUNDS = tuple(
    Round(position, None, states.PENDING, {}, Parameters(), 0, 0) for position in range(2)
)
# 2026-11-22, a Sunday, 13:05:09 UTC.
STARTED = 1795352709123
RUN = Run(5, 4, RunType.JOB_RUN, "wf", states.RUNNING, STARTED, 0, ROUNDS, (LOAD, USE))
VALUES = reference_values(
    RUN,
    USE,
    {("load", "rows"): "3", ("load", "name"): '"a b"', ("load", "all"): "[1, 2]"},
    Identity("https://localhost:1"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{job.id}}/{{job.run_id}}/{{ job.name }}", "4/5/wf"),
        ("{{job.repair_count}}", "1"),
        ("{{task.name}} {{task.run_id}} {{task.execution_count}}", "use 11 3"),
        ("{{task.notebook_path}}", "/n"),
        ("{{tasks.load.result_state}} {{tasks.load.run_id}}", "success 10"),
        ("{{tasks.load.values.rows}}", "3"),
        ("{{tasks.load.values.name}} {{tasks.`load`.values.all}}", "a b [1, 2]"),
        ("{{run_id}} {{parent_run_id}} {{job_id}} {{task_key}}", "11 5 4 use"),
        ("{{workspace.url}}", "https://localhost:1"),
        ("{{start_date}} {{job.start_time.iso_datetime}}", "2026-11-22 2026-11-22T13:05:09"),
        ("{{job.start_time.is_weekday}}", "false"),
        ("{{job.start_time.timestamp_ms}}", str(STARTED)),
        ("{{other.thing}} {job.id} {{job.}} {{}}", "{{other.thing}} {job.id} {{job.}} {{}}"),
    ],
)
def test_references(text: str, expected: str) -> None:
    assert resolve(text, VALUES) == expected


@pytest.mark.parametrize("name", ["job.nothing", "tasks.load.values.no", "task.x", "tasks.who.y"])
def test_unknown_names_in_known_namespaces_are_errors(name: str) -> None:
    with pytest.raises(UnknownReferenceError, match=name):
        resolve(f"a {{{{{name}}}}}", VALUES)


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_references_stays_as_it_is(text: str) -> None:
    assert resolve(text, {}) == text


def test_precedence_and_references_to_job_parameters() -> None:
    assert notebook_parameters(
        {"a": "base", "b": "base", "c": "{{job.parameters.country}}", "country": "base"},
        {"b": "notebook"},
        {"country": "{{job.id}}"},
        VALUES,
    ) == {"a": "base", "b": "notebook", "c": "4", "country": "4"}


def test_job_parameters_show_default_and_value() -> None:
    settings = {"parameters": [{"name": "a", "default": "1"}, {"name": "b", "default": "2"}]}
    assert job_parameters(settings, {"b": "3", "new": "4"}) == [
        {"name": "a", "default": "1", "value": "1"},
        {"name": "b", "default": "2", "value": "3"},
        {"name": "new", "value": "4"},
    ]
