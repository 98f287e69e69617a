"""The job's definition: every problem at once, and a reset only when something differs."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import JobSpecError, NotebookTask
from blocks.databricks.spec import (
    check_tasks,
    job_settings,
    overridden_parameters,
    settings_differ,
    workspace_path,
)

TASKS = [
    NotebookTask(task_key="join_data", notebook="a.py", parameters={"x": "1"}),
    NotebookTask(task_key="transform_data", notebook="b.py", depends_on=["join_data"]),
]


def settings(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "job_name": "j",
        "tasks": TASKS,
        "notebook_paths": {"join_data": "/a", "transform_data": "/b"},
        "parameters": {"country": "", "path": ""},
        "new_cluster": {"num_workers": 1},
        "max_concurrent_runs": 3,
    }
    return job_settings(**{**arguments, **changes})


def saved(settings: dict[str, Any]) -> dict[str, Any]:
    """What the server returns: defaults filled in, lists in an order of its own."""
    held = copy.deepcopy(settings)
    held |= {"format": "MULTI_TASK", "timeout_seconds": 0, "email_notifications": {}}
    for task in held["tasks"]:
        task |= {"run_if": "ALL_SUCCESS", "timeout_seconds": 0}
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


def test_what_the_server_adds_is_no_difference() -> None:
    assert not settings_differ(settings(), saved(settings()))


@pytest.mark.parametrize(
    "change",
    [
        {"max_concurrent_runs": 4},
        {"new_cluster": {"num_workers": 2}},
        {"notebook_paths": {"join_data": "/a2", "transform_data": "/b"}},
        {"parameters": {"country": ""}},
        {"tasks": TASKS[:1]},
        {"new_cluster": {}},
    ],
)
def test_any_change_is_a_difference(change: dict[str, Any]) -> None:
    assert settings_differ(settings(**change), saved(settings()))


def test_an_edit_by_hand_is_a_difference() -> None:
    held = saved(settings())
    held["tasks"][0]["notebook_task"]["notebook_path"] = "/elsewhere"
    assert settings_differ(settings(), held)


def test_every_problem_is_reported_at_once() -> None:
    tasks = [
        NotebookTask(task_key="a b", notebook="x.py"),
        NotebookTask(task_key="c", notebook="x.py", depends_on=["d", "nowhere"]),
        NotebookTask(task_key="d", notebook="x.py", depends_on=["c"]),
        NotebookTask(task_key="d", notebook="x.py", depends_on=["c"]),
    ]
    parameters = {"a name": "x", "long": "x" * 10_000}
    with pytest.raises(JobSpecError) as caught:
        check_tasks(tasks, parameters, token="t" * 65)
    for problem in (
        "'a b'",
        "'d' is used twice",
        "'nowhere'",
        "circle",
        "'a name'",
        "job parameters take 10,0",
        "65 characters",
    ):
        assert problem in str(caught.value)


def test_no_tasks_is_a_problem() -> None:
    with pytest.raises(JobSpecError, match="no tasks"):
        check_tasks([])


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.\-]{1,9}", fullmatch=True), st.text()))
def test_parameters_of_a_fair_size_may_hold_any_text(parameters: dict[str, str]) -> None:
    check_tasks(TASKS, parameters, token="t" * 64)


@pytest.mark.parametrize(("filler", "count"), [("x", 9_994), ("é", 4_997), ("\n", 4_997)])
def test_the_limit_is_ten_thousand_bytes_of_json(filler: str, count: int) -> None:
    check_tasks(TASKS, {"p": filler * (count - 5)})
    with pytest.raises(JobSpecError, match=r"take 10,00\d bytes as JSON"):
        check_tasks(TASKS, {"p": filler * count})


def test_a_tasks_own_parameters_may_take_a_megabyte() -> None:
    tasks = [NotebookTask(task_key="a", notebook="a.py", parameters={"p": "x" * 1_000_000})]
    with pytest.raises(JobSpecError, match="parameters of task 'a' take 1,000,008 bytes"):
        check_tasks(tasks)


def test_a_parameter_of_a_task_that_has_no_effect_is_said() -> None:
    task = NotebookTask(
        task_key="a",
        notebook="a.py",
        parameters={"country": "Norway", "year": "{{job.parameters.year}}", "other": "1"},
    )
    (said,) = overridden_parameters([task], {"country": "", "year": "", "path": ""})
    assert "'a' sets 'country'" in said
    assert overridden_parameters([task], {"path": ""}) == ()


def test_another_content_is_another_path() -> None:
    first = workspace_path("/Shared/x/", "n", "print(1)")
    assert first == workspace_path("/Shared/x", "n", "print(1)")
    assert first != workspace_path("/Shared/x", "n", "print(2)")
    assert first.endswith("/n")
