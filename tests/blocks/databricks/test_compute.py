"""Each task runs on one kind of compute, which the job has."""

from typing import Any

import pytest

from blocks.databricks.compute import Compute, ComputeKind, compute_of, compute_problems
from blocks.databricks.settings import job_settings
from tests.blocks.databricks.specs import make_spec, make_task

CLUSTER = {"num_workers": 1}
BOTH = {"shared": CLUSTER, "big": CLUSTER}
PLAIN = make_task("a")


@pytest.mark.parametrize(
    ("job", "task", "expected"),
    [
        ({}, {}, Compute(ComputeKind.JOB_CLUSTER, "shared")),
        ({"job_clusters": BOTH}, {"job_cluster_key": "big"}, ("job_cluster_key", "big")),
        ({"existing_cluster_id": "1-x"}, {}, ("existing_cluster_id", "1-x")),
        ({"existing_cluster_id": "1-x"}, {"job_cluster_key": "shared"}, None),
        ({}, {"existing_cluster_id": "1-y"}, ("existing_cluster_id", "1-y")),
        ({"job_clusters": {}}, {}, ("environment_key", "")),
        ({"job_clusters": {}, "environments": {"shared": {}}}, {}, ("environment_key", "shared")),
        ({"environments": {"ml": {}}}, {"environment_key": "ml"}, ("environment_key", "ml")),
    ],
)
def test_a_task_runs_where_it_says_or_where_the_others_do(
    job: dict[str, Any], task: dict[str, str], expected: tuple[str, str] | Compute | None
) -> None:
    spec = make_spec(make_task("a", **task), PLAIN, **job)
    if expected is None:
        expected = Compute(ComputeKind.JOB_CLUSTER, "shared")
    if isinstance(expected, tuple):
        expected = Compute(ComputeKind(expected[0]), expected[1])
    assert compute_of(spec, spec.tasks[0]) == expected
    settings = job_settings(spec, {})["tasks"][0]
    said = {kind.value: settings[kind] for kind in ComputeKind if kind in settings}
    assert said == ({expected.kind.value: expected.name} if expected.name else {})


@pytest.mark.parametrize(
    ("job", "task", "said"),
    [
        (
            {"existing_cluster_id": "1-x", "environments": {"e": {}}},
            {"existing_cluster_id": "1-y", "environment_key": "e"},
            "task 'a' names existing_cluster_id and environment_key, and can have only one",
        ),
        (
            {},
            {"job_cluster_key": "bgi"},
            "task 'a' runs on job cluster 'bgi', but job_clusters has 'shared'",
        ),
        (
            {},
            {"environment_key": "ml"},
            "task 'a' runs on environment 'ml', but environments has nothing",
        ),
        (
            {"environments": {"ml": {}}},
            {},
            "no task runs on environment 'ml'; set a task's environment_key, or take it out",
        ),
    ],
)
def test_each_problem_is_one_clause(job: dict[str, Any], task: dict[str, str], said: str) -> None:
    found = list(compute_problems(make_spec(make_task("a", **task), PLAIN, **job)))
    assert said in found


def test_a_task_that_names_no_compute_never_ends_up_on_another_kind() -> None:
    spec = make_spec(PLAIN, job_clusters={"main": CLUSTER})
    assert list(compute_problems(spec)) == [
        "task 'a' runs on job cluster 'shared', as it names no compute, but job_clusters has "
        "'main'",
        "no task runs on job cluster 'main'; set a task's job_cluster_key, or take it out",
    ]


def test_only_what_tasks_run_on_is_sent() -> None:
    settings = job_settings(make_spec(PLAIN, existing_cluster_id="1-x"), {})
    assert not {"job_clusters", "environments"} & settings.keys()
