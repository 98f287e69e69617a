"""Kinds of tasks, and what passes between them, through Databricks' own client."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.service.compute import Environment
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    ForEachTask,
    JobEnvironment,
    JobParameterDefinition,
    NotebookTask,
    Run,
    RunJobTask,
    RunResultState,
    SparkPythonTask,
    Task,
    TaskDependency,
)
from databricks.sdk.service.workspace import ImportFormat, Language

from tests.conformance.target import Target, state

Create = Callable[..., int]

PRODUCER = """# Databricks notebook source
dbutils.jobs.taskValues.set("rows", 41 + 1)
"""
SHOW = """# Databricks notebook source
import json

dbutils.notebook.exit(json.dumps(dbutils.widgets.getAll(), sort_keys=True))
"""
SCRIPT = """import sys

assert sys.argv[1:] == ["--rows", "42"], sys.argv
"""
SECRETIVE = """# Databricks notebook source
value = dbutils.secrets.get(dbutils.widgets.get("scope"), "key")
print(value)
dbutils.notebook.exit(str(len(value)))
"""


@pytest.fixture(scope="module", autouse=True)
def notebooks(target: Target) -> None:
    for name, source in (("producer", PRODUCER), ("show", SHOW), ("secretive", SECRETIVE)):
        target.client.workspace.upload(
            f"{target.folder}/{name}",
            BytesIO(source.encode()),
            format=ImportFormat.SOURCE,
            language=Language.PYTHON,
        )
    target.client.workspace.upload(
        f"{target.folder}/script.py", BytesIO(SCRIPT.encode()), format=ImportFormat.RAW
    )


def show(target: Target, key: str, parameters: dict[str, str], *after: str) -> Task:
    """Return a task that gives back its widgets."""
    notebook = NotebookTask(notebook_path=f"{target.folder}/show", base_parameters=parameters)
    return Task(
        task_key=key,
        notebook_task=notebook,
        existing_cluster_id=target.cluster_id,
        depends_on=[TaskDependency(upstream) for upstream in after],
    )


def run(target: Target, job_id: int, **parameters: Any) -> Run:
    run_id = target.client.jobs.run_now(job_id, **parameters).run_id
    assert run_id is not None
    return target.ended(run_id)


def results(run: Run) -> dict[str, RunResultState | None]:
    return {task.task_key: state(task).result_state for task in run.tasks or []}


def shown(client: WorkspaceClient, run: Run, key: str) -> str | None:
    (task_run_id,) = (task.run_id for task in run.tasks or [] if task.task_key == key)
    assert task_run_id is not None
    output = client.jobs.get_run_output(task_run_id).notebook_output
    return None if output is None else output.result


def test_values_and_references_reach_later_tasks(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§9.2 and §9.3: task values, and what dynamic references stand for."""
    parameters = {"rows": "{{tasks.a.values.rows}}", "ended": "{{tasks.a.result_state}}"}
    job_id = create(
        target.task("a", "producer"),
        show(target, "b", {**parameters, "job": "{{job.id}}", "no": "{{not one}}"}, "a"),
    )
    ended = run(target, job_id)
    expected = f'{{"ended": "success", "job": "{job_id}", "no": "{{{{not one}}}}", "rows": "42"}}'
    assert shown(client, ended, "b") == expected


def test_job_parameters_win(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§9.4: a job parameter beats a task's parameter of the same name."""
    job_id = create(
        show(target, "a", {"p": "of the task", "q": "{{job.parameters.p}}"}),
        parameters=[JobParameterDefinition(name="p", default="of the job")],
    )
    assert shown(client, run(target, job_id), "a") == '{"p": "of the job", "q": "of the job"}'
    given = run(target, job_id, job_parameters={"p": "given"})
    assert shown(client, given, "a") == '{"p": "given", "q": "given"}'


def test_a_condition_chooses(target: Target, create: Create) -> None:
    """§1.1 and §4.4: condition_task, depends_on with an outcome."""
    condition = ConditionTask(op=ConditionTaskOp.GREATER_THAN, left="10", right="9")
    yes, no = (TaskDependency("check", outcome=outcome) for outcome in ("true", "false"))
    job_id = create(
        Task(task_key="check", condition_task=condition),
        target.task("yes", depends_on=[yes]),
        target.task("no", depends_on=[no]),
    )
    assert results(run(target, job_id)) == {
        "check": RunResultState.SUCCESS,
        "yes": RunResultState.SUCCESS,
        "no": RunResultState.EXCLUDED,
    }


def test_a_python_file_gets_its_arguments(target: Target, create: Create) -> None:
    """§1.1: spark_python_task with a file of the workspace."""
    script = SparkPythonTask(
        python_file=f"{target.folder}/script.py",
        parameters=["--rows", "{{tasks.a.values.rows}}"],
    )
    # Without a cluster, a Python file needs an environment.
    serverless = target.cluster_id is None
    environment = JobEnvironment("default", Environment(environment_version="2"))
    job_id = create(
        target.task("a", "producer"),
        Task(
            task_key="b",
            spark_python_task=script,
            depends_on=[TaskDependency("a")],
            existing_cluster_id=target.cluster_id,
            environment_key="default" if serverless else None,
        ),
        environments=[environment] if serverless else None,
    )
    assert results(run(target, job_id))["b"] is RunResultState.SUCCESS


def test_a_job_runs_another(target: Target, create: Create) -> None:
    """§1.1: run_job_task, which ends as the job that it runs."""
    good, bad = (
        create(target.task("x", notebook), name=f"{target.name}-inner")
        for notebook in ("steady", "nothing here")
    )
    job_id = create(
        Task(task_key="good", run_job_task=RunJobTask(job_id=good)),
        Task(task_key="bad", run_job_task=RunJobTask(job_id=bad)),
    )
    assert results(run(target, job_id)) == {
        "good": RunResultState.SUCCESS,
        "bad": RunResultState.FAILED,
    }


def test_a_task_is_repeated_for_each_input(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§1.1: for_each_task, its iterations in runs/get of its task run."""
    each = ForEachTask(
        inputs='["x", "y", "z"]', concurrency=2, task=show(target, "one", {"item": "{{input}}"})
    )
    ended = run(target, create(Task(task_key="each", for_each_task=each)))
    assert state(ended).result_state is RunResultState.SUCCESS
    (task_run,) = ended.tasks or []
    assert task_run.run_id is not None
    iterations = client.jobs.get_run(task_run.run_id).iterations or []
    assert [state(item).result_state for item in iterations] == [RunResultState.SUCCESS] * 3
    outputs = set()
    for item in iterations:
        assert item.run_id is not None
        output = client.jobs.get_run_output(item.run_id).notebook_output
        assert output is not None
        outputs.add(output.result)
    assert outputs == {'{"item": "x"}', '{"item": "y"}', '{"item": "z"}'}


def test_every_task_has_a_type(create: Create) -> None:
    """§1.6: a task without any type."""
    with pytest.raises(InvalidParameterValue):
        create(Task(task_key="a"))


def test_notebooks_read_secrets_but_do_not_show_them(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§9.2: dbutils.secrets; what is printed does not show the value."""
    scope, value = f"{target.name}-tasks", uuid4().hex
    client.secrets.create_scope(scope)
    try:
        client.secrets.put_secret(scope, "key", string_value=value)
        job_id = create(
            target.task("a", "secretive"),
            parameters=[JobParameterDefinition(name="scope", default=scope)],
        )
        ended = run(target, job_id)
    finally:
        client.secrets.delete_scope(scope)
    assert shown(client, ended, "a") == str(len(value))
    (task_run,) = ended.tasks or []
    assert task_run.run_id is not None
    (view,) = client.jobs.export_run(task_run.run_id).views or []
    assert view.content is not None
    assert value not in view.content
