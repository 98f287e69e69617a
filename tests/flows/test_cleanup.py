"""What a failed run keeps for the repair that may follow."""

import pytest

from blocks.databricks.state import Outcome, RunState, Status, TaskAttempt
from flows.cleanup import needed_later


def run_of(outcome: Outcome, join: Outcome, transform: Outcome) -> RunState:
    tasks = {"join_data": join, "transform_data": transform}
    attempts = tuple(TaskAttempt(key, 1, 0, Status(each)) for key, each in tasks.items())
    return RunState(1, 1, Status(outcome), attempts)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (run_of(Outcome.CANCELED, Outcome.SUCCEEDED, Outcome.CANCELED), set()),
        (run_of(Outcome.FAILED, Outcome.FAILED, Outcome.UPSTREAM_FAILED), {"country_subset"}),
        (
            run_of(Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED),
            {"country_subset", "joined_data"},
        ),
        # The notebooks succeeded and loading failed: a retry loads what they wrote.
        (
            run_of(Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.SUCCEEDED),
            {"country_subset", "joined_data", "transformed_data"},
        ),
    ],
)
def test_what_a_repair_reads_stays(state: RunState, expected: set[str]) -> None:
    assert needed_later(state) == expected
