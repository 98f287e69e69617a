"""A job that changed under a run is noticed, and the change is named."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.drift import differences

json_objects = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
settings = st.dictionaries(st.text(max_size=4), json_objects, max_size=4)


@given(settings, settings)
def test_a_line_means_a_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(differences(one, one)) == []
    if one == other:
        assert list(differences(one, other)) == []
    elif any(value is not None for value in {**one, **other}.values()):
        assert list(differences(one, other)) or without_nulls(one) == without_nulls(other)


def without_nulls(value: Any) -> Any:
    """What the API means: an absent field and a null are the same."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        kept = [without_nulls(item) for item in value]
        while kept and kept[-1] is None:
            kept.pop()
        return kept
    return value


def test_each_leaf_is_named() -> None:
    before = {"tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "/a"}}], "name": "j"}
    after = {
        "tasks": [{"task_key": "b"}, {"task_key": "a", "notebook_task": {"notebook_path": "/b"}}],
        "timeout_seconds": 5,
        "name": "j",
    }
    assert list(differences(before, after)) == [
        "tasks[a].notebook_task.notebook_path: '/a' is now '/b'",
        "tasks[b]: nothing is now {'task_key': 'b'}",
        "timeout_seconds: nothing is now 5",
    ]
