"""Runs, their outputs and repairs, through Databricks' own client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    OperationFailed,
    ResourceDoesNotExist,
)
from databricks.sdk.service.jobs import (
    JobParameterDefinition,
    JobSettings,
    QueueSettings,
    RepairHistoryItemType,
    Run,
    RunIf,
    RunLifeCycleState,
    RunResultState,
    RunTask,
    RunType,
    TaskDependency,
    TerminationCodeCode,
    TerminationTypeType,
    ViewsToExport,
)

from tests.conformance.target import Target, state

Create = Callable[..., int]

MOOD = [JobParameterDefinition(name="mood", default="good")]
AFTER_A = [TaskDependency("a")]
AFTER_B = [TaskDependency("b")]


def attempts(run: Run, key: str) -> list[RunTask]:
    """Return the task runs of a key, oldest first; the cloud gives no order (§3.5)."""
    found = [task for task in run.tasks or [] if task.task_key == key]
    return sorted(found, key=lambda task: task.attempt_number or 0)


def results(run: Run) -> dict[str, list[RunResultState | None]]:
    keys = sorted({task.task_key for task in run.tasks or []})
    return {key: [state(task).result_state for task in attempts(run, key)] for key in keys}


def result_of(client: WorkspaceClient, run: Run, key: str) -> str | None:
    task_run = attempts(run, key)[-1]
    assert task_run.run_id is not None
    output = client.jobs.get_run_output(task_run.run_id).notebook_output
    return None if output is None else output.result


@pytest.fixture(scope="module")
def failing(target: Target, create: Create) -> Callable[[], int]:
    """Start runs of a -> b -> c whose b fails, and wait for their end."""
    job_id = create(
        target.task("a"),
        target.task("b", "moody", depends_on=AFTER_A),
        target.task("c", depends_on=AFTER_B),
        parameters=MOOD,
    )

    def start() -> int:
        started = target.client.jobs.run_now(job_id, job_parameters={"mood": "fail"})
        assert started.run_id is not None
        target.ended(started.run_id)
        return started.run_id

    return start


@pytest.fixture(scope="module")
def failed(client: WorkspaceClient, failing: Callable[[], int]) -> Run:
    """A run that has failed; not to be changed."""
    return client.jobs.get_run(failing(), include_history=True)


@pytest.fixture(scope="module")
def succeeded(target: Target, client: WorkspaceClient, create: Create) -> Run:
    """A run that has succeeded; not to be changed."""
    job_id = create(
        target.task("a"), target.task("b", "moody", depends_on=AFTER_A), parameters=MOOD
    )
    return client.jobs.run_now_and_wait(job_id, job_parameters={"mood": "sunny"})


def repair_id(answer: Any) -> int:
    """Return what runs/repair answered; the SDK's waiter for it has no type."""
    return int(answer.response.repair_id)


def id_of(run: Run | RunTask) -> int:
    assert run.run_id is not None
    return run.run_id


def test_a_run_succeeds(succeeded: Run) -> None:
    """§2.1, §3.2 and §3.4: run-now with job parameters, and how the run looks."""
    assert state(succeeded).life_cycle_state is RunLifeCycleState.TERMINATED
    assert state(succeeded).result_state is RunResultState.SUCCESS
    assert succeeded.run_type is RunType.JOB_RUN
    assert succeeded.run_page_url is not None
    assert f"job/{succeeded.job_id}/run/{succeeded.run_id}" in succeeded.run_page_url
    assert [(item.name, item.value) for item in succeeded.job_parameters or []] == [
        ("mood", "sunny")
    ]
    assert succeeded.status is not None
    assert succeeded.status.termination_details is not None
    assert succeeded.status.termination_details.code is TerminationCodeCode.SUCCESS


def test_task_runs_have_outputs(client: WorkspaceClient, succeeded: Run) -> None:
    """§6: get-output and export of task runs; that of the whole run is refused."""
    assert result_of(client, succeeded, "a") == "steady"
    assert result_of(client, succeeded, "b") == "sunny"
    exported = client.jobs.export_run(
        id_of(attempts(succeeded, "b")[0]), views_to_export=ViewsToExport.CODE
    )
    (view,) = exported.views or []
    assert view.content is not None
    assert "<html" in view.content.lower()
    with pytest.raises(InvalidParameterValue, match="runs with multiple tasks is not supported"):
        client.jobs.get_run_output(id_of(succeeded))


def test_a_task_run_is_a_run(client: WorkspaceClient, succeeded: Run) -> None:
    """§3.1: runs/get takes the id of a task run, and names its parent."""
    task_run = client.jobs.get_run(id_of(attempts(succeeded, "a")[0]))
    assert task_run.job_run_id == succeeded.run_id
    assert task_run.run_page_url
    assert state(task_run).result_state is RunResultState.SUCCESS


def test_a_failed_run_is_an_internal_error(client: WorkspaceClient, failed: Run) -> None:
    """§4.3: how the failure of a notebook looks on its task, downstream and on the run."""
    assert state(failed).life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
    assert state(failed).result_state is RunResultState.FAILED
    assert "Task b failed" in state(failed).state_message
    assert failed.status is not None
    assert failed.status.termination_details is not None
    assert failed.status.termination_details.type is TerminationTypeType.CLIENT_ERROR
    assert results(failed) == {
        "a": [RunResultState.SUCCESS],
        "b": [RunResultState.FAILED],
        "c": [RunResultState.UPSTREAM_FAILED],
    }
    (task_run,) = attempts(failed, "b")
    assert state(task_run).life_cycle_state is RunLifeCycleState.TERMINATED
    assert all(task.start_time is not None for task in failed.tasks or [])
    output = client.jobs.get_run_output(id_of(task_run))
    assert output.error is not None
    assert "ValueError: made to fail" in output.error
    assert output.error_trace


def test_the_waiter_raises_for_a_failed_run(client: WorkspaceClient, failed: Run) -> None:
    """§10.2: a failed run of several tasks ends in INTERNAL_ERROR, so the SDK raises."""
    with pytest.raises(OperationFailed):
        client.jobs.wait_get_run_job_terminated_or_skipped(id_of(failed))


def test_a_repair_runs_only_what_it_names(
    client: WorkspaceClient, failing: Callable[[], int]
) -> None:
    """§5.3, §5.7, §5.14 and §3.6: successes are kept, attempts appended, the history tells."""
    run_id = failing()
    before = client.jobs.get_run(run_id, include_history=True)
    repaired = client.jobs.repair_run(
        run_id, rerun_tasks=["b", "c"], job_parameters={"mood": "mended"}
    )
    # Not terminal from the moment of the answer, or the waiter would return the old failure.
    run = repaired.result()
    assert state(run).life_cycle_state is RunLifeCycleState.TERMINATED
    assert state(run).result_state is RunResultState.SUCCESS
    run = client.jobs.get_run(run_id, include_history=True)
    assert results(run) == {
        "a": [RunResultState.SUCCESS],
        "b": [RunResultState.FAILED, RunResultState.SUCCESS],
        "c": [RunResultState.UPSTREAM_FAILED, RunResultState.SUCCESS],
    }
    assert attempts(run, "a")[0].run_id == attempts(before, "a")[0].run_id
    assert [task.attempt_number for task in attempts(run, "b")] == [0, 1]
    assert result_of(client, run, "b") == "mended"
    original, repair = run.repair_history or []
    assert original.type is RepairHistoryItemType.ORIGINAL
    assert original.id is None
    assert state(original).result_state is RunResultState.FAILED
    assert repair.type is RepairHistoryItemType.REPAIR
    assert repair.id == repair_id(repaired)
    new = {attempts(run, key)[-1].run_id for key in ("b", "c")}
    assert set(repair.task_run_ids or []) == new


def test_a_second_repair_names_the_first(
    client: WorkspaceClient, failing: Callable[[], int]
) -> None:
    """§5.3: latest_repair_id is compulsory after the first repair, and has to be the latest."""
    run_id = failing()
    first = client.jobs.repair_run(
        run_id, rerun_all_failed_tasks=True, job_parameters={"mood": "fail"}
    )
    with pytest.raises(OperationFailed):
        first.result()
    with pytest.raises(BadRequest, match="latest repair ID needs to be provided"):
        client.jobs.repair_run(run_id, rerun_all_failed_tasks=True)
    with pytest.raises(BadRequest):
        client.jobs.repair_run(run_id, rerun_all_failed_tasks=True, latest_repair_id=1)
    run = client.jobs.repair_run_and_wait(
        run_id,
        rerun_all_failed_tasks=True,
        latest_repair_id=repair_id(first),
        job_parameters={"mood": "good"},
    )
    assert state(run).result_state is RunResultState.SUCCESS
    assert len(attempts(run, "b")) == 3
    assert len(attempts(run, "a")) == 1


def test_dependents_are_repaired_too(client: WorkspaceClient, failing: Callable[[], int]) -> None:
    """§5.6: rerun_dependent_tasks adds everything downstream."""
    run = client.jobs.repair_run_and_wait(
        failing(),
        rerun_tasks=["b"],
        rerun_dependent_tasks=True,
        job_parameters={"mood": "good"},
    )
    assert state(run).result_state is RunResultState.SUCCESS
    assert len(attempts(run, "c")) == 2


def test_repairs_that_make_no_sense_are_refused(client: WorkspaceClient, failed: Run) -> None:
    """§5.1, §5.4 and §5.5: two selectors, duplicate and unknown keys."""
    run_id = id_of(failed)
    with pytest.raises(BadRequest, match="rerun_tasks cannot contain duplicate task keys"):
        client.jobs.repair_run(run_id, rerun_tasks=["b", "b"])
    with pytest.raises(BadRequest):
        client.jobs.repair_run(run_id, rerun_tasks=["nobody"])
    with pytest.raises(BadRequest):
        client.jobs.repair_run(run_id, rerun_tasks=["b"], rerun_all_failed_tasks=True)


def test_a_live_run_is_not_repaired_nor_deleted_but_cancelled(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§5.2 and §6: what cannot be done with an active run; cancel; delete."""
    job_id = create(
        target.task("a", "moody"), target.task("b", depends_on=AFTER_A), parameters=MOOD
    )
    run_id = client.jobs.run_now(job_id, job_parameters={"mood": "wait"}).run_id
    assert run_id is not None
    target.until(
        run_id, lambda run: state(attempts(run, "a")[0]).life_cycle_state.value == "RUNNING"
    )
    assert run_id in {run.run_id for run in client.jobs.list_runs(job_id=job_id, active_only=True)}
    with pytest.raises(BadRequest):
        client.jobs.repair_run(run_id, rerun_tasks=["a"])
    with pytest.raises(BadRequest):
        client.jobs.delete_run(run_id)
    run = client.jobs.cancel_run_and_wait(run_id)
    assert state(run).result_state is RunResultState.CANCELED
    assert run.status is not None
    assert run.status.termination_details is not None
    assert run.status.termination_details.code is TerminationCodeCode.USER_CANCELED
    assert results(target.ended(run_id)) == {
        "a": [RunResultState.CANCELED],
        "b": [RunResultState.UPSTREAM_CANCELED],
    }
    client.jobs.delete_run(run_id)
    with pytest.raises(ResourceDoesNotExist):
        client.jobs.get_run(run_id)


def test_runs_wait_in_the_queue(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§2.2: QUEUED with its reason when the limit is reached, and cancel-all."""
    job_id = create(target.task("a", "moody"), parameters=MOOD, queue=QueueSettings(enabled=True))
    waiting = {"mood": "wait"}
    first = client.jobs.run_now(job_id, job_parameters=waiting).run_id
    second = client.jobs.run_now(job_id, job_parameters=waiting).run_id
    assert first is not None
    assert second is not None
    queued = target.until(
        second, lambda run: state(run).life_cycle_state is RunLifeCycleState.QUEUED
    )
    assert "maximum concurrent runs" in state(queued).queue_reason
    client.jobs.cancel_all_runs(job_id=job_id)
    for run_id in (first, second):
        assert state(target.ended(run_id)).result_state is RunResultState.CANCELED


def test_runs_over_the_limit_are_skipped(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§2.2: without a queue the run is made, but ends at once."""
    job_id = create(target.task("a", "moody"), parameters=MOOD, queue=QueueSettings(enabled=False))
    client.jobs.run_now(job_id, job_parameters={"mood": "wait"})
    skipped = client.jobs.run_now_and_wait(job_id)
    assert state(skipped).life_cycle_state is RunLifeCycleState.SKIPPED
    assert state(skipped).result_state is RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED
    client.jobs.cancel_all_runs(job_id=job_id)


def test_a_one_time_run(target: Target, client: WorkspaceClient) -> None:
    """§2.3: submit, its type, its absence from the list of jobs."""
    run = client.jobs.submit_and_wait(
        run_name=target.name,
        tasks=[
            target.submit_task("a"),
            target.submit_task("b", "moody", depends_on=AFTER_A),
        ],
    )
    assert state(run).result_state is RunResultState.SUCCESS
    assert run.run_type is RunType.SUBMIT_RUN
    assert run.run_name == target.name
    assert result_of(client, run, "b") == "good"
    assert run.job_id not in {job.job_id for job in client.jobs.list(name=target.name)}
    listed = client.jobs.list_runs(run_type=RunType.SUBMIT_RUN, completed_only=True, limit=5)
    assert run.run_id in {item.run_id for item, _ in zip(listed, range(100), strict=False)}


def test_the_same_token_gives_the_same_run(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§2.1: a known idempotency token starts nothing."""
    job_id = create(target.task("a"))
    token = uuid4().hex
    first = client.jobs.run_now(job_id, idempotency_token=token).run_id
    assert first is not None
    assert client.jobs.run_now(job_id, idempotency_token=token).run_id == first
    assert client.jobs.run_now(job_id).run_id != first
    client.jobs.cancel_all_runs(job_id=job_id)
    target.ended(first)


def test_only_some_tasks_are_run(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§2.1: the selection of run-now."""
    job_id = create(target.task("a"), target.task("b", depends_on=AFTER_A), target.task("c"))
    run_id = client.jobs.run_now(job_id, only=["b"]).run_id
    assert run_id is not None
    run = target.ended(run_id)
    assert state(run).result_state is RunResultState.SUCCESS
    assert result_of(client, run, "b") == "steady"


def test_retries_are_attempts(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§3.6 and §1.1: max_retries; one entry for each attempt, each with an id of its own."""
    job_id = create(
        target.task("a", "moody", max_retries=1, min_retry_interval_millis=0),
        target.task("b", depends_on=AFTER_A),
        parameters=MOOD,
    )
    run_id = client.jobs.run_now(job_id, job_parameters={"mood": "fail"}).run_id
    assert run_id is not None
    tried = attempts(target.ended(run_id), "a")
    assert [task.attempt_number for task in tried] == [0, 1]
    assert len({task.run_id for task in tried}) == 2


def test_run_if(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§4.4 and §4.5: tasks after a failure, and a run that succeeds with failures."""
    job_id = create(
        target.task("a", "moody"),
        target.task("done", depends_on=AFTER_A, run_if=RunIf.ALL_DONE),
        target.task("broken", depends_on=AFTER_A, run_if=RunIf.AT_LEAST_ONE_FAILED),
        parameters=MOOD,
    )
    run_id = client.jobs.run_now(job_id, job_parameters={"mood": "fail"}).run_id
    assert run_id is not None
    run = target.ended(run_id)
    assert results(run) == {
        "a": [RunResultState.FAILED],
        "broken": [RunResultState.SUCCESS],
        "done": [RunResultState.SUCCESS],
    }
    assert state(run).result_state is RunResultState.SUCCESS_WITH_FAILURES
    good = client.jobs.run_now_and_wait(job_id)
    assert results(good)["broken"] == [RunResultState.EXCLUDED]
    assert state(good).result_state is RunResultState.SUCCESS


def test_a_large_run_is_read_in_pages(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§3.5: more than 100 task runs come in pages, each once."""
    keys = [f"t{number}" for number in range(120)]
    job_id = create(
        target.task("a", "moody"),
        *(target.task(key, depends_on=AFTER_A) for key in keys),
        parameters=MOOD,
    )
    run_id = client.jobs.run_now(job_id, job_parameters={"mood": "fail"}).run_id
    assert run_id is not None
    run = target.ended(run_id)
    assert sorted(task.task_key for task in run.tasks or []) == sorted(["a", *keys])


def test_an_unknown_run_does_not_exist(client: WorkspaceClient) -> None:
    """§3.1: 400 that the SDK takes for a missing resource."""
    with pytest.raises(ResourceDoesNotExist):
        client.jobs.get_run(1)


def test_legacy_parameters_reach_the_notebook(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§2.1 and §9.4: notebook_params are laid over base_parameters."""
    task = target.task("a", "moody")
    assert task.notebook_task is not None
    task.notebook_task.base_parameters = {"mood": "base"}
    job_id = create(task)
    run = client.jobs.run_now_and_wait(job_id)
    assert result_of(client, run, "a") == "base"
    run = client.jobs.run_now_and_wait(job_id, notebook_params={"mood": "given"})
    assert result_of(client, run, "a") == "given"


def test_a_repair_uses_the_current_settings(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§5.8: edits between failure and repair count."""
    job_id = create(target.task("a"), target.task("b", "moody"))
    run_id = client.jobs.run_now(job_id, notebook_params={"mood": "fail"}).run_id
    assert run_id is not None
    target.ended(run_id)
    client.jobs.update(job_id, new_settings=JobSettings(tasks=[target.task("b", "steady")]))
    run = client.jobs.repair_run_and_wait(run_id, rerun_all_failed_tasks=True)
    assert state(run).result_state is RunResultState.SUCCESS
    assert result_of(client, run, "b") == "steady"
