"""Reading ``runs/get``: one outcome for everything, and the latest attempt of each task."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.state import Outcome, RunState, changes, parse_run, parse_status

LIFE_CYCLES = [
    "QUEUED", "PENDING", "RUNNING", "TERMINATING", "BLOCKED", "WAITING_FOR_RETRY",
    "TERMINATED", "SKIPPED", "INTERNAL_ERROR",
]  # fmt: skip
RESULTS = [
    "SUCCESS", "FAILED", "TIMEDOUT", "CANCELED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "EXCLUDED",
    "SUCCESS_WITH_FAILURES", "UPSTREAM_FAILED", "UPSTREAM_CANCELED", "DISABLED", "EVICTED",
    "UPSTREAM_EVICTED",
]  # fmt: skip


def status(life_cycle: str, result: str = "", code: str = "", kind: str = "") -> dict[str, Any]:
    state = {"life_cycle_state": life_cycle, "state_message": "m"}
    if result:
        state["result_state"] = result
    payload: dict[str, Any] = {"state": state}
    if code:
        payload["status"] = {"termination_details": {"code": code, "type": kind}}
    return payload


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (status("QUEUED"), Outcome.PENDING),
        (status("BLOCKED"), Outcome.PENDING),
        (status("SOMETHING_NEW"), Outcome.PENDING),
        (status("WAITING_FOR_RETRY", "FAILED"), Outcome.PENDING),
        (status("RUNNING"), Outcome.RUNNING),
        (status("TERMINATING", "SUCCESS"), Outcome.RUNNING),
        (status("TERMINATED", "SUCCESS"), Outcome.SUCCEEDED),
        (status("TERMINATED", "SUCCESS_WITH_FAILURES"), Outcome.SUCCEEDED_WITH_FAILURES),
        (status("INTERNAL_ERROR", "FAILED"), Outcome.FAILED),
        (status("INTERNAL_ERROR"), Outcome.FAILED),
        (status("TERMINATED", "SOMETHING_NEW"), Outcome.FAILED),
        (status("SOMETHING_NEW", "FAILED"), Outcome.FAILED),
        (status("TERMINATED", "TIMEDOUT"), Outcome.TIMED_OUT),
        (status("TERMINATED", "CANCELED"), Outcome.CANCELED),
        (status("TERMINATED", code="USER_CANCELED", kind="CLIENT_ERROR"), Outcome.CANCELED),
        (status("SKIPPED", "UPSTREAM_FAILED"), Outcome.UPSTREAM_FAILED),
        (status("SKIPPED"), Outcome.UPSTREAM_FAILED),
        (status("SKIPPED", "UPSTREAM_CANCELED"), Outcome.UPSTREAM_CANCELED),
        (status("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED"), Outcome.SKIPPED),
        (status("SKIPPED", code="MAX_CONCURRENT_RUNS_EXCEEDED"), Outcome.SKIPPED),
        (status("TERMINATED", "EXCLUDED"), Outcome.EXCLUDED),
        (status("SKIPPED", "DISABLED"), Outcome.EXCLUDED),
        ({"status": {"state": "RUNNING"}}, Outcome.RUNNING),
        (
            {"status": {"state": "TERMINATED", "termination_details": {"code": "SUCCESS"}}},
            Outcome.SUCCEEDED,
        ),
        ({}, Outcome.PENDING),
        ({"state": None, "status": None}, Outcome.PENDING),
    ],
)
def test_every_combination_has_one_meaning(payload: dict[str, Any], expected: Outcome) -> None:
    assert parse_status(payload).outcome is expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from([*LIFE_CYCLES, "NEW"]) | json_values,
    st.sampled_from([*RESULTS, "NEW"]) | json_values,
    json_values,
)
def test_no_value_raises(life_cycle: object, result: object, junk: object) -> None:
    payload = {
        "state": {"life_cycle_state": life_cycle, "result_state": result, "state_message": junk},
        "run_id": junk,
        "repair_history": [{"id": junk}, junk],
        "job_parameters": [junk],
        "tasks": [junk, {"task_key": "a", "depends_on": [junk], "start_time": junk}],
    }
    run = parse_run(payload)
    assert isinstance(run.outcome, Outcome)
    assert run.current["a"].outcome is Outcome.PENDING


def entry(key: str, run_id: int, number: int, payload: dict[str, Any], **more: Any) -> Any:
    return {"task_key": key, "run_id": run_id, "attempt_number": number, **payload, **more}


OK = status("TERMINATED", "SUCCESS")
FAILED = status("TERMINATED", "FAILED")
VICTIM = status("SKIPPED", "UPSTREAM_FAILED")


def repaired_run() -> RunState:
    return parse_run(
        {
            "run_id": 900,
            "job_id": 11,
            **OK,
            "tasks": [
                entry("b", 905, 1, OK, start_time=60, end_time=70),
                entry("a", 901, 0, OK, start_time=10, end_time=20),
                entry("c", 903, 0, VICTIM, start_time=0, end_time=40),
                entry("b", 902, 0, FAILED, start_time=21, end_time=40),
                entry("c", 906, 1, OK, start_time=71, end_time=80),
            ],
            "repair_history": [
                {"type": "ORIGINAL", "task_run_ids": [901, 902, 903]},
                {"type": "REPAIR", "id": 7346, "task_run_ids": [905, 906]},
            ],
        }
    )


def test_the_current_attempt_is_the_highest() -> None:
    run = repaired_run()
    assert {key: a.run_id for key, a in run.current.items()} == {"a": 901, "b": 905, "c": 906}
    assert run.unsuccessful == ()
    assert run.latest_repair_id == 7346
    assert run.repairs == 1


def test_attempts_of_equal_number_are_ordered_by_start() -> None:
    run = parse_run({"tasks": [entry("a", 2, 0, OK, start_time=9), entry("a", 1, 0, FAILED)]})
    assert run.current["a"].run_id == 2


def test_victims_are_not_causes() -> None:
    run = parse_run({"tasks": [entry("b", 1, 0, FAILED), entry("c", 2, 0, VICTIM)]})
    assert run.unsuccessful == ("b", "c")
    assert [attempt.task_key for attempt in run.causes] == ["b"]


def test_changes_come_in_the_order_in_which_they_happened() -> None:
    assert [attempt.run_id for attempt in changes(None, repaired_run())] == [
        901, 902, 903, 905, 906,
    ]  # fmt: skip


def test_a_change_is_told_once() -> None:
    run = repaired_run()
    assert changes(run, run) == ()
    before = parse_run({"tasks": [entry("a", 901, 0, status("RUNNING"))]})
    assert [attempt.run_id for attempt in changes(before, run)] == [901, 902, 903, 905, 906]


def test_task_values_and_durations_are_read() -> None:
    run = parse_run(
        {
            "run_page_url": "https://h/?o=1#job/1/run/2",
            "job_parameters": [{"name": "country", "default": "", "value": "Norway"}],
            "tasks": [
                entry("a", 1, 0, OK, setup_duration=1500, execution_duration=2000,
                      cleanup_duration=500, depends_on=[{"task_key": "z"}])
            ],
        }
    )  # fmt: skip
    assert run.job_parameters == {"country": "Norway"}
    assert run.attempts[0].seconds == 4.0
    assert run.attempts[0].depends_on == ("z",)
