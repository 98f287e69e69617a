"""Extra settings add to what the block makes, and never override it."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.merging import merge
from blocks.databricks.settings import extra_settings_problems, job_settings
from tests.blocks.databricks.specs import make_spec, make_task

names = st.sampled_from(["a", "b", "c", "task_key", "name"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(2, 9) | st.sampled_from(["", "x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(names, values, max_size=4)


def holds(whole: Any, part: Any) -> bool:
    """Whether a value has all that is in another one."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return all(any(holds(other, item) for other in whole) for item in part)
    return bool(whole == part)


@given(objects, objects)
def test_all_of_both_is_in_the_result_or_it_is_said(
    made: dict[str, Any], added: dict[str, Any]
) -> None:
    before = copy.deepcopy((made, added))
    merged, problems = merge(made, added, "extra")
    assert (made, added) == before
    assert holds(merged, made)
    assert problems or holds(merged, added)


@given(objects)
def test_what_says_nothing_new_changes_nothing(made: dict[str, Any]) -> None:
    assert merge(made, {}, "extra") == (made, [])
    assert merge({}, made, "extra") == (made, [])


@given(st.dictionaries(names, objects, min_size=1), objects)
def test_entries_are_found_by_their_key(
    entries: dict[str, dict[str, Any]], added: dict[str, Any]
) -> None:
    tasks = [{**entry, "task_key": key} for key, entry in entries.items()]
    key = next(iter(entries))
    extra = {"tasks": [{**added, "task_key": key}]}
    merged, problems = merge({"tasks": tasks}, extra, "extra")
    expected, expected_problems = merge(tasks[0], {**added, "task_key": key}, f"extra.tasks[{key}]")
    assert merged == {"tasks": [expected, *tasks[1:]]}
    assert problems == expected_problems


def test_the_settings_of_a_job_are_merged_deeply() -> None:
    spec = make_spec(
        make_task("a", packages=["x"], extra_settings={"max_retries": 2}),
        make_task("b", depends_on=["a"]),
        email_notifications={"on_failure": ["a@example.com"]},
        tags={"team": "data"},
        extra_settings={
            "description": "Said here only.",
            "queue": {"enabled": False},
            "tags": {"cost": "7"},
            "email_notifications": {"on_failure": ["b@example.com"], "on_start": ["c"]},
            "job_clusters": [
                {"job_cluster_key": "shared", "new_cluster": {"policy_id": "p", "num_workers": 1}}
            ],
            "tasks": [
                {
                    "task_key": "a",
                    "libraries": [{"maven": {"coordinates": "g:a:1"}}],
                    "notebook_task": {"warehouse_id": "w"},
                }
            ],
        },
    )
    assert extra_settings_problems(spec) == []
    settings = job_settings(spec, {"a": "/a", "b": "/b"})
    assert settings["description"] == "Said here only."
    assert settings["queue"] == {"enabled": False}
    assert settings["tags"].items() >= {"team": "data", "cost": "7"}.items()
    assert settings["email_notifications"] == {
        "on_failure": ["a@example.com", "b@example.com"],
        "on_start": ["c"],
    }
    (cluster,) = settings["job_clusters"]
    assert cluster["new_cluster"] == {**spec.job_clusters["shared"], "policy_id": "p"}
    first, second = settings["tasks"]
    assert first["max_retries"] == 2
    assert first["libraries"] == [
        {"pypi": {"package": "x"}},
        {"maven": {"coordinates": "g:a:1"}},
    ]
    assert first["notebook_task"]["notebook_path"] == "/a"
    assert first["notebook_task"]["warehouse_id"] == "w"
    assert second.keys().isdisjoint({"max_retries", "libraries"})


def test_what_the_block_says_itself_is_refused_without_showing_it() -> None:
    spec = make_spec(
        make_task("a", extra_settings={"run_if": "ALL_DONE", "new_cluster": {"num_workers": 1}}),
        make_task("b"),
        extra_settings={
            "name": "hidden-word",
            "timeout_seconds": 7,
            "access_control_list": [],
            "tasks": [
                {"task_key": "b", "depends_on": [{"task_key": "a"}]},
                {"task_key": "c"},
                {"max_retries": 1},
                "b",
            ],
            "job_clusters": [{"job_cluster_key": "other", "new_cluster": {}}],
            "parameters": [{"name": "p", "default": ""}],
        },
    )
    found = extra_settings_problems(spec)
    assert found == [
        "extra_settings of task 'a'.run_if says something else than the fields of the block",
        "extra_settings.name says something else than the fields of the block",
        "extra_settings.timeout_seconds says something else than the fields of the block",
        "extra_settings.tasks[b].depends_on has 'a', which the fields of the block do not have",
        "extra_settings.tasks has 'c', which the fields of the block do not have",
        "an entry of extra_settings.tasks has no task_key",
        "an entry of extra_settings.tasks has no task_key",
        "extra_settings.job_clusters has 'other', which the fields of the block do not have",
        "extra_settings.parameters has 'p', which the fields of the block do not have",
        "task 'a' has new_cluster in its extra settings; where it runs is said by its own fields",
        "access_control_list is a field of the block, and no setting of a job",
    ]
