"""The settings of the saved job, and a reset only when something differs."""

import copy
from typing import Any

import pytest

from blocks.databricks.settings import job_settings, settings_differ
from tests.blocks.databricks.specs import make_spec, make_task

TASKS = (
    make_task("join_data", parameters={"x": "1"}),
    make_task("transform_data", depends_on=["join_data"]),
)
PATHS = {"join_data": "/a", "transform_data": "/b"}


def settings(paths: dict[str, str] = PATHS, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "parameters": {"country": "", "path": ""},
        "job_clusters": {"shared": {"num_workers": 1}},
        "max_concurrent_runs": 3,
        "run_as": {"user_name": "me@example.com"},
        "packages": ["pandas"],
        "extra_settings": {"unknown": 1, "tasks": [{"task_key": "join_data", "disabled": False}]},
        "tasks": TASKS,
    }
    fields |= changes
    return job_settings(make_spec(*fields.pop("tasks"), **fields), paths)


def saved(settings: dict[str, Any]) -> dict[str, Any]:
    """What the server returns: defaults filled in or left out, lists in an order of its own."""
    held = copy.deepcopy(settings)
    held |= {"format": "MULTI_TASK", "timeout_seconds": 0, "email_notifications": {}}
    for write_only in ("run_as", "unknown"):
        held.pop(write_only, None)
    for task in held["tasks"]:
        task |= {"email_notifications": {}, "timeout_seconds": 0}
        task.pop("disabled", None)
        if not task["depends_on"]:
            del task["depends_on"]
    held["tasks"].reverse()
    held["job_clusters"][0]["new_cluster"]["data_security_mode"] = "SINGLE_USER"
    return held


def test_the_two_notebooks_share_one_job_cluster() -> None:
    built = settings()
    (cluster,) = built["job_clusters"]
    assert {task["job_cluster_key"] for task in built["tasks"]} == {cluster["job_cluster_key"]}
    assert built["tasks"][1]["depends_on"] == [{"task_key": "join_data"}]


def test_what_the_server_adds_or_leaves_out_is_no_difference() -> None:
    assert not settings_differ(settings(), saved(settings()))


@pytest.mark.parametrize(
    "change",
    [
        {"max_concurrent_runs": 4},
        {"job_clusters": {"shared": {"num_workers": 2}}},
        {"job_clusters": {"shared": {}}},
        {"paths": {"join_data": "/a2", "transform_data": "/b"}},
        {"parameters": {"country": ""}},
        {"tasks": TASKS[:1]},
        {"packages": []},
        {"run_as": {"user_name": "you@example.com"}},
        {"extra_settings": {}},
        {"timeout_seconds": 5},
    ],
)
def test_any_change_is_a_difference(change: dict[str, Any]) -> None:
    wanted = settings(**{"extra_settings": {}, **change} if "tasks" in change else change)
    assert settings_differ(wanted, saved(settings()))


def test_an_edit_by_hand_is_a_difference() -> None:
    held = saved(settings())
    held["tasks"][0]["notebook_task"]["notebook_path"] = "/elsewhere"
    assert settings_differ(settings(), held)


def test_a_list_that_somebody_emptied_is_a_difference() -> None:
    held = saved(settings())
    del held["tasks"][0]["libraries"]
    assert settings_differ(settings(), held)


def test_a_job_of_the_same_name_that_somebody_else_made_is_a_difference() -> None:
    held = saved(settings())
    del held["tags"]
    assert settings_differ(settings(), held)
