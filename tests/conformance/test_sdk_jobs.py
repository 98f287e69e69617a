"""Saved jobs, through Databricks' own client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service.iam import PermissionLevel
from databricks.sdk.service.jobs import (
    JobAccessControlRequest,
    JobParameterDefinition,
    JobPermissionLevel,
    JobSettings,
    RunIf,
    Task,
    TaskDependency,
)

from tests.conformance.target import Target

Create = Callable[..., int]


def settings_of(client: WorkspaceClient, job_id: int) -> JobSettings:
    settings = client.jobs.get(job_id).settings
    assert settings is not None
    return settings


def test_defaults_are_filled_in(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§1.2: what the server adds to a job and to its tasks."""
    job_id = create(
        target.task("a"),
        target.task("b"),
        target.task("c", depends_on=[TaskDependency("b"), TaskDependency("a")]),
    )
    job = client.jobs.get(job_id)
    assert job.job_id == job_id
    assert job.created_time
    settings = settings_of(client, job_id)
    assert settings.max_concurrent_runs == 1
    assert settings.timeout_seconds == 0
    task = {item.task_key: item for item in settings.tasks or []}["c"]
    assert task.run_if is RunIf.ALL_SUCCESS
    assert [item.task_key for item in task.depends_on or []] == ["a", "b"]
    assert task.notebook_task is not None
    assert task.notebook_task.source is not None
    assert task.notebook_task.source.value == "WORKSPACE"


def test_a_job_of_api_2_2_queues(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§1.4: queueing is on unless the job says otherwise."""
    settings = settings_of(client, create(target.task("a")))
    assert settings.queue is not None
    assert settings.queue.enabled is True


def test_update_merges_by_key(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§1.3: tasks are merged by their keys, other fields replaced or removed."""
    job_id = create(target.task("a"), target.task("b"), timeout_seconds=60, tags={"x": "1"})
    client.jobs.update(
        job_id,
        new_settings=JobSettings(tasks=[target.task("a", timeout_seconds=30)]),
        fields_to_remove=["tags"],
    )
    settings = settings_of(client, job_id)
    assert {task.task_key: task.timeout_seconds for task in settings.tasks or []} == {
        "a": 30,
        "b": 0,
    }
    assert settings.timeout_seconds == 60
    assert not settings.tags


def test_reset_replaces_everything(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§1.3: the id and the time of creation stay."""
    job_id = create(target.task("a"), timeout_seconds=60)
    before = client.jobs.get(job_id)
    client.jobs.reset(job_id, JobSettings(name=target.name, tasks=[target.task("z")]))
    after = client.jobs.get(job_id)
    assert after.created_time == before.created_time
    settings = settings_of(client, job_id)
    assert [task.task_key for task in settings.tasks or []] == ["z"]
    assert settings.timeout_seconds == 0


def test_list_finds_by_name_and_pages(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§1.5: exact name in any case, several pages, tasks only when asked for."""
    name = f"{target.name}-listed"
    made = {create(target.task("a"), name=name) for _ in range(3)}
    found = list(client.jobs.list(name=name.upper(), limit=2))
    assert {job.job_id for job in found} == made
    assert all(job.settings is not None and not job.settings.tasks for job in found)
    expanded = list(client.jobs.list(name=name, expand_tasks=True, limit=2))
    assert all(job.settings is not None and job.settings.tasks for job in expanded)


def test_a_large_job_is_read_in_pages(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§1.1 and §1.5: more than 100 tasks are taken, and read back page by page."""
    keys = [f"t{number}" for number in range(130)]
    settings = settings_of(client, create(*(target.task(key) for key in keys)))
    assert sorted(task.task_key for task in settings.tasks or []) == sorted(keys)


def test_a_deleted_job_does_not_exist(
    target: Target, client: WorkspaceClient, create: Create
) -> None:
    """§1.3 and §1.6: 400 INVALID_PARAMETER_VALUE with a text that clients recognise."""
    job_id = create(target.task("a"))
    client.jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist, match=f"Job {job_id} does not exist"):
        client.jobs.get(job_id)
    with pytest.raises(InvalidParameterValue):
        client.jobs.run_now(job_id)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"depends_on": [TaskDependency("a")]}, "Invalid dependency graph, task 'a' can not"),
        ({"depends_on": [TaskDependency("nobody")]}, None),
        ({"existing_cluster_id": None, "job_cluster_key": "x"}, "Job cluster 'x' is not defined"),
    ],
)
def test_wrong_tasks_are_refused(
    target: Target, create: Create, settings: dict[str, Any], text: str | None
) -> None:
    """§1.6: 400 INVALID_PARAMETER_VALUE, with the cloud's text where it is known."""
    task = target.task("a").as_dict() | {
        name: [item.as_dict() for item in value] if isinstance(value, list) else value
        for name, value in settings.items()
    }
    with pytest.raises(InvalidParameterValue, match=text):
        create(Task.from_dict(task))


def test_task_keys_are_unique(target: Target, create: Create) -> None:
    """§1.1: task_key."""
    with pytest.raises(InvalidParameterValue):
        create(target.task("a"), target.task("a"))


def test_parameters_are_kept(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§1.1: parameters have a name and a default."""
    job_id = create(target.task("a"), parameters=[JobParameterDefinition(name="p", default="1")])
    (parameter,) = settings_of(client, job_id).parameters or []
    assert (parameter.name, parameter.default) == ("p", "1")


def test_permissions_of_a_job(target: Target, client: WorkspaceClient, create: Create) -> None:
    """§0: access control lists live under /permissions/jobs."""
    job_id = str(create(target.task("a")))
    user = client.current_user.me().user_name
    levels = client.jobs.get_permission_levels(job_id).permission_levels or []
    assert PermissionLevel.IS_OWNER.value in {
        level.permission_level.value for level in levels if level.permission_level
    }
    shown = client.permissions.get("jobs", job_id)
    owners = {
        item.user_name
        for item in shown.access_control_list or []
        if any(p.permission_level is PermissionLevel.IS_OWNER for p in item.all_permissions or [])
    }
    assert owners == {user}
    changed = client.jobs.update_permissions(
        job_id,
        access_control_list=[
            JobAccessControlRequest(
                group_name="users", permission_level=JobPermissionLevel.CAN_VIEW
            )
        ],
    )
    assert "users" in {item.group_name for item in changed.access_control_list or []}
