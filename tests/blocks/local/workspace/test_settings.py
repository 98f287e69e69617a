"""Job settings: what is refused and how, what is filled in, how updates merge."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.models import prune
from blocks.local.workspace.settings import job_settings, merge, one_time_settings
from tests.blocks.local.workspace.fake import task

CLUSTERS = [{"job_cluster_key": "main", "new_cluster": {"spark_version": "x", "num_workers": 1}}]


def checked(*tasks: dict[str, Any], **settings: Any) -> dict[str, Any]:
    values = {"name": "wf", "tasks": list(tasks), "job_clusters": CLUSTERS, **settings}
    return job_settings(prune(values), queue_default=True)


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({}, "INVALID_PARAMETER_VALUE", "Run settings must be specified."),
        (
            {"job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Shared job cluster feature is only supported in multi-task jobs.",
        ),
        (
            {"tasks": [task("a")]},
            "INVALID_PARAMETER_VALUE",
            "Job cluster 'main' is not defined in field 'job_clusters'.",
        ),
        (
            {"tasks": [task("a", "a")], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Invalid dependency graph, task 'a' can not reference itself.",
        ),
        (
            {"tasks": [task("a", "z")], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Invalid dependency graph, task 'a' depends on unknown task 'z'.",
        ),
        (
            {"tasks": [task("a", "b"), task("b", "a")], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Invalid dependency graph, there is a cycle among the tasks 'a', 'b'.",
        ),
        (
            {"tasks": [task("a"), task("a")], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Duplicate task_key 'a' is not allowed.",
        ),
        (
            {"tasks": [{**task("a"), "depends_on": [{"outcome": "x"}]}], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Missing required field: settings.tasks.depends_on.task_key",
        ),
        (
            {"tasks": [task("a", job_cluster_key=None, new_cluster={"spark_version": "x"})]},
            "INVALID_PARAMETER_VALUE",
            "Cluster validation error: Missing required field:"
            " settings.cluster_spec.new_cluster.size",
        ),
        (
            {"tasks": [task("a", existing_cluster_id="x")], "job_clusters": CLUSTERS},
            "INVALID_PARAMETER_VALUE",
            "Only one of job_cluster_key, new_cluster, or existing_cluster_id can be specified"
            " for task 'a'.",
        ),
        (
            {"tasks": [{"task_key": "a", "spark_jar_task": {"main_class_name": "x"}}]},
            "INVALID_PARAMETER_VALUE",
            "Task 'a' is a spark_jar_task; the local workspace runs notebook_task,"
            " spark_python_task, condition_task, run_job_task, for_each_task only.",
        ),
        (
            {"tasks": [{"task_key": "a"}]},
            "INVALID_PARAMETER_VALUE",
            "Task 'a' does not specify a task type such as notebook_task.",
        ),
        (
            {"tasks": "a"},
            "MALFORMED_REQUEST",
            "Could not parse request object: Expected array for field 'tasks', found STRING",
        ),
        (
            {"name": "x", "git_source": {"git_url": "u"}},
            "INVALID_PARAMETER_VALUE",
            "git_source.git_provider must be one of: github,gitlab,bitbucketcloud,"
            "azuredevopsservices,githubenterprise,bitbucketserver,gitlabenterpriseedition",
        ),
    ],
)
def test_refusals(settings: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        job_settings(prune(settings), queue_default=True)
    assert (refused.value.status, refused.value.error_code) == (400, code)
    assert refused.value.message == message


@pytest.mark.parametrize("key", ["", "a b", "a.b", "x" * 101])
def test_bad_task_keys(key: str) -> None:
    with pytest.raises(ApiError, match=r"settings\.tasks\.task_key"):
        checked(task(key))


def test_the_server_fills_in_what_the_cloud_fills_in() -> None:
    settings = checked(task("c", "b", "a"), task("a"), task("b"), format="SINGLE_TASK", unknown=1)
    assert {name: value for name, value in settings.items() if name != "tasks"} == {
        "name": "wf",
        "email_notifications": {},
        "webhook_notifications": {},
        "timeout_seconds": 0,
        "max_concurrent_runs": 1,
        "format": "MULTI_TASK",
        "queue": {"enabled": True},
        "job_clusters": [
            {
                "job_cluster_key": "main",
                "new_cluster": {
                    "spark_version": "x",
                    "num_workers": 1,
                    "data_security_mode": "SINGLE_USER",
                    "enable_elastic_disk": False,
                    "aws_attributes": {"availability": "SPOT_WITH_FALLBACK", "zone_id": "auto"},
                },
            }
        ],
    }
    assert settings["tasks"][0] == {
        "task_key": "c",
        "depends_on": [{"task_key": "a"}, {"task_key": "b"}],
        "run_if": "ALL_SUCCESS",
        "notebook_task": {"notebook_path": "/c", "source": "WORKSPACE"},
        "job_cluster_key": "main",
        "timeout_seconds": 0,
        "email_notifications": {},
    }


def test_sloppy_clients_are_understood() -> None:
    settings = checked(
        task("a", max_retries="2", retry_on_timeout="true", libraries=[], timeout_seconds="5"),
        max_concurrent_runs="3",
        tags=None,
    )
    assert settings["max_concurrent_runs"] == 3
    assert settings["tasks"][0]["max_retries"] == 2
    assert settings["tasks"][0]["timeout_seconds"] == 5
    assert settings["tasks"][0]["retry_on_timeout"] is True
    assert "libraries" not in settings["tasks"][0]


def test_checked_settings_are_accepted_unchanged() -> None:
    settings = checked(task("a"), task("b", "a"))
    assert job_settings(prune(settings), queue_default=False) == settings


def test_update_replaces_fields_and_merges_keyed_arrays() -> None:
    stored = checked(task("a"), task("b", "a"), tags={"x": "1"}, description="old")
    changes = {"tasks": [task("a", max_retries=1), task("c", "b")], "tags": {"y": "2"}}
    merged = merge(stored, prune(changes), ["description", "tasks/b"])
    assert "description" not in merged
    assert merged["tags"] == {"y": "2"}
    assert [item["task_key"] for item in merged["tasks"]] == ["a", "c"]
    assert merged["tasks"][0]["max_retries"] == 1
    with pytest.raises(ApiError, match="unknown task 'b'"):
        job_settings(merged, queue_default=True)


def test_a_submit_of_the_old_shape_becomes_one_task_named_after_the_run() -> None:
    values = {"notebook_task": {"notebook_path": "/n"}, "existing_cluster_id": "c"}
    settings = job_settings(one_time_settings("my run: 1", values), queue_default=False)
    assert [item["task_key"] for item in settings["tasks"]] == ["my_run__1"]
    with pytest.raises(ApiError, match="Either new_cluster or existing_cluster_id"):
        one_time_settings("x", {"notebook_task": {"notebook_path": "/n"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=2), JSON))
def test_pruning_twice_changes_nothing_more(values: dict[str, Any]) -> None:
    assert prune(prune(values)) == prune(values)


@given(st.dictionaries(st.sampled_from(["name", "tasks", "queue", "parameters", "tags"]), JSON))
def test_nonsense_is_accepted_or_refused_but_never_a_fault(values: dict[str, Any]) -> None:
    with suppress(ApiError):
        job_settings(prune(values), queue_default=True)
