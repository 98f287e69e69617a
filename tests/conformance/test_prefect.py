"""``prefect-databricks``: its flows and tasks, unmodified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.service.jobs import JobParameterDefinition
from databricks.sdk.service.jobs import TaskDependency as SdkDependency
from prefect_databricks import DatabricksCredentials
from prefect_databricks.flows import (
    DatabricksJobInternalError,
    jobs_runs_submit_and_wait_for_completion,
    jobs_runs_submit_by_id_and_wait_for_completion,
)
from prefect_databricks.jobs import (
    jobs_create,
    jobs_delete,
    jobs_get,
    jobs_list,
    jobs_reset,
    jobs_run_now,
    jobs_runs_cancel,
    jobs_runs_cancel_all,
    jobs_runs_delete,
    jobs_runs_export,
    jobs_runs_get,
    jobs_runs_get_output,
    jobs_runs_list,
    jobs_runs_repair,
    jobs_runs_submit,
    jobs_update,
)
from prefect_databricks.models.jobs import (
    NotebookTask,
    RunSubmitTaskSettings,
    TaskDependencies,
    TaskDependency,
)

from tests.conformance.target import Target

# The block can store the certificate authority's file only by its name.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated"),
]

Create = Callable[..., int]
MOOD = [JobParameterDefinition(name="mood", default="good")]
AFTER_A = [SdkDependency("a")]


@pytest.fixture(scope="module")
def credentials(target: Target) -> DatabricksCredentials:
    verify = {} if target.ca_file is None else {"verify": target.ca_file}
    return DatabricksCredentials(
        databricks_instance=target.host,
        token=target.token,
        client_kwargs={**verify, "timeout": 60},
    )


def test_the_flow_that_runs_a_saved_job(
    target: Target, create: Create, credentials: DatabricksCredentials
) -> None:
    """§10.3, §2.1 and §6: run-now, polls and outputs of the 2.1 endpoints."""
    job_id = create(target.task("a"), target.task("b", "moody"))
    outputs = asyncio.run(
        jobs_runs_submit_by_id_and_wait_for_completion(
            databricks_credentials=credentials,
            job_id=job_id,
            notebook_params={"mood": "sunny"},
            poll_frequency_seconds=1,
        )
    )
    assert {key: output["result"] for key, output in outputs.items()} == {
        "a": "steady",
        "b": "sunny",
    }


def test_the_flow_that_runs_a_saved_job_tells_a_failure(
    target: Target, create: Create, credentials: DatabricksCredentials
) -> None:
    """§4.3: a failed run of several tasks ends in INTERNAL_ERROR."""
    job_id = create(target.task("a"), target.task("b", "moody"))
    with pytest.raises(DatabricksJobInternalError, match="Task b failed"):
        asyncio.run(
            jobs_runs_submit_by_id_and_wait_for_completion(
                databricks_credentials=credentials,
                job_id=job_id,
                notebook_params={"mood": "fail"},
                poll_frequency_seconds=1,
            )
        )


def test_the_flow_that_submits_a_run(target: Target, credentials: DatabricksCredentials) -> None:
    """§0 and §2.3: typed tasks arrive with a null for every field that is not set."""

    def task(key: str, notebook: str, **settings: Any) -> RunSubmitTaskSettings:
        return RunSubmitTaskSettings(
            task_key=key,
            notebook_task=NotebookTask(notebook_path=f"{target.folder}/{notebook}"),
            existing_cluster_id=target.cluster_id,
            **settings,
        )

    outputs, run = asyncio.run(
        jobs_runs_submit_and_wait_for_completion(
            databricks_credentials=credentials,
            run_name=target.name,
            tasks=[
                task("a", "steady"),
                task("b", "moody", depends_on=TaskDependencies([TaskDependency(task_key="a")])),
            ],
            poll_frequency_seconds=1,
            return_metadata=True,
        )
    )
    assert {key: output["result"] for key, output in outputs.items()} == {
        "a": "steady",
        "b": "good",
    }
    assert run["run_name"] == target.name


def test_the_tasks_for_jobs(target: Target, credentials: DatabricksCredentials) -> None:
    """§1: create, get, list, update, reset and delete of API 2.1."""

    async def use() -> None:
        made = await jobs_create(
            credentials, name=target.name, tasks=[target.plain_task("a")], max_concurrent_runs=2
        )
        job_id = made["job_id"]
        await jobs_update(credentials, job_id=job_id, new_settings={"max_concurrent_runs": 3})
        shown = await jobs_get(job_id, credentials)
        assert shown["settings"]["max_concurrent_runs"] == 3
        assert [task["task_key"] for task in shown["settings"]["tasks"]] == ["a"]
        settings = {"name": target.name, "tasks": [target.plain_task("z")]}
        await jobs_reset(credentials, job_id=job_id, new_settings=settings)
        listed = await jobs_list(credentials, name=target.name, expand_tasks=True)
        (job,) = (item for item in listed["jobs"] if item["job_id"] == job_id)
        assert [task["task_key"] for task in job["settings"]["tasks"]] == ["z"]
        assert "has_more" in listed
        await jobs_delete(credentials, job_id=job_id)

    asyncio.run(use())


def test_the_tasks_for_runs(
    target: Target, create: Create, credentials: DatabricksCredentials
) -> None:
    """§3, §5 and §6: get, list, repair, get-output, export and delete."""
    job_id = create(
        target.task("a", "moody"),
        target.task("b", depends_on=AFTER_A),
        parameters=MOOD,
    )

    async def use() -> None:
        started = await jobs_run_now(credentials, job_id=job_id, job_parameters={"mood": "fail"})
        run_id = started["run_id"]
        await asyncio.to_thread(target.ended, run_id)
        run = await jobs_runs_get(run_id, credentials, include_history=True)
        assert [item["type"] for item in run["repair_history"]] == ["ORIGINAL"]
        repair = await jobs_runs_repair(
            credentials,
            run_id=run_id,
            rerun_tasks=["a", "b"],
            job_parameters={"mood": "mended"},
        )
        await asyncio.to_thread(target.ended, run_id)
        run = await jobs_runs_get(run_id, credentials, include_history=True)
        assert run["state"]["result_state"] == "SUCCESS"
        assert run["repair_history"][-1]["id"] == repair["repair_id"]
        task_run = max(
            (task for task in run["tasks"] if task["task_key"] == "a"),
            key=lambda task: int(task["attempt_number"]),
        )
        output = await jobs_runs_get_output(task_run["run_id"], credentials)
        assert output["notebook_output"]["result"] == "mended"
        exported = await jobs_runs_export(task_run["run_id"], credentials)
        assert exported["views"][0]["type"] == "NOTEBOOK"
        listed = await jobs_runs_list(credentials, job_id=job_id, completed_only=True)
        assert [item["run_id"] for item in listed["runs"]] == [run_id]
        await jobs_runs_delete(credentials, run_id=run_id)

    asyncio.run(use())


def test_the_tasks_that_submit_and_cancel(
    target: Target, credentials: DatabricksCredentials
) -> None:
    """§2.3 and §6: submit, cancel and cancel-all."""
    waiting = target.plain_task("a", "moody")
    waiting["notebook_task"]["base_parameters"] = {"mood": "wait"}

    async def use() -> None:
        started = await jobs_runs_submit(credentials, run_name=target.name, tasks=[waiting])
        await jobs_runs_cancel(credentials, run_id=started["run_id"])
        run = await asyncio.to_thread(target.ended, started["run_id"])
        assert run.state is not None
        assert run.state.result_state is not None
        assert run.state.result_state.value == "CANCELED"
        assert run.job_id is not None
        await jobs_runs_cancel_all(credentials, job_id=run.job_id)

    asyncio.run(use())
