"""Which tasks the repairs of a run ran again."""

import pytest

from blocks.databricks import repaired_tasks
from tests.blocks.databricks.runs import OK, RAISED, VICTIM, Story

STORY = (
    Story({"join": RAISED, "transform": VICTIM, "other": OK})
    .repaired({"join": OK, "transform": RAISED})
    .repaired({"transform": [RAISED, OK]})
)


@pytest.mark.parametrize(
    ("after", "expected"), [(0, ("join", "transform")), (1, ("transform",)), (2, ())]
)
def test_each_task_is_named_once(after: int, expected: tuple[str, ...]) -> None:
    assert repaired_tasks(STORY.state, after) == expected


def test_a_run_without_repairs_has_none() -> None:
    assert repaired_tasks(Story({"join": [RAISED, OK]}).state) == ()
