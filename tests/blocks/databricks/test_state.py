"""Reading ``runs/get``: one outcome for everything, and the latest attempt of each task."""

from itertools import product
from typing import Any

import pytest
from databricks.sdk.service.jobs import (
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
    TerminationCodeCode,
    TerminationTypeType,
)
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.state import Outcome, RunState, changes, parse_run, parse_status

STRANGE = [None, "", "NEVER_SEEN", 5]
LIFE_CYCLES = [each.value for each in RunLifeCycleState] + STRANGE
STATES = [each.value for each in RunLifecycleStateV2State] + STRANGE
RESULTS = [each.value for each in RunResultState] + ["EVICTED", "UPSTREAM_EVICTED", *STRANGE]
CODES = [each.value for each in TerminationCodeCode] + ["CLUSTER_TERMINATED_BY_USER", *STRANGE]
TYPES = [each.value for each in TerminationTypeType] + STRANGE
ALIVE: dict[object, Outcome] = {
    "QUEUED": Outcome.PENDING,
    "PENDING": Outcome.PENDING,
    "BLOCKED": Outcome.PENDING,
    "WAITING_FOR_RETRY": Outcome.PENDING,
    "WAITING": Outcome.PENDING,
    "RUNNING": Outcome.RUNNING,
    "TERMINATING": Outcome.RUNNING,
}
OVER = ["TERMINATED", "SKIPPED", "INTERNAL_ERROR"]


def ended(code: str, kind: str | None = "CLIENT_ERROR") -> dict[str, Any]:
    """A payload without the deprecated ``state``."""
    return {"status": {"state": "TERMINATED", "termination_details": {"code": code, "type": kind}}}


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
        (status("TERMINATED", "EVICTED"), Outcome.FAILED),
        (status("TERMINATED", "UPSTREAM_EVICTED"), Outcome.UPSTREAM_FAILED),
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
        ({"status": {"state": "WAITING"}}, Outcome.PENDING),
        (ended("SUCCESS", None), Outcome.SUCCEEDED),
        (ended("NEVER_SEEN", "SUCCESS"), Outcome.SUCCEEDED),
        (ended("SUCCESS_WITH_FAILURES", "SUCCESS"), Outcome.SUCCEEDED_WITH_FAILURES),
        (ended("SUCCESS_WITH_FAILURES", None), Outcome.SUCCEEDED_WITH_FAILURES),
        (ended("DISABLED", "SUCCESS"), Outcome.EXCLUDED),
        (ended("DISABLED"), Outcome.EXCLUDED),
        (ended("MAX_CONCURRENT_RUNS_EXCEEDED"), Outcome.SKIPPED),
        (ended("MAX_JOB_QUEUE_SIZE_EXCEEDED"), Outcome.SKIPPED),
        # "For example, if the upstream task run failed, the dependency type condition was not met"
        (ended("SKIPPED"), Outcome.UPSTREAM_FAILED),
        (ended("SKIPPED", "SUCCESS"), Outcome.EXCLUDED),
        (ended("USER_CANCELED", "SUCCESS"), Outcome.CANCELED),
        (ended("RUN_EXECUTION_ERROR"), Outcome.FAILED),
        ({}, Outcome.PENDING),
        ({"state": None, "status": None}, Outcome.PENDING),
    ],
)
def test_every_combination_has_one_meaning(payload: dict[str, Any], expected: Outcome) -> None:
    assert parse_status(payload).outcome is expected


def test_no_combination_of_states_is_without_a_meaning() -> None:
    meaning_of_result = {
        result: parse_status(status("TERMINATED", result)).outcome for result in map(str, RESULTS)
    }
    for life_cycle, result, code, kind in product(LIFE_CYCLES, RESULTS, CODES, TYPES):
        details = {"termination_details": {"code": code, "type": kind}}
        outcome = parse_status(
            {
                "state": {"life_cycle_state": life_cycle, "result_state": result},
                "status": {"state": "TERMINATED", **details},
            }
        ).outcome
        shown = (life_cycle, result, code, kind, outcome)
        if life_cycle in ALIVE:
            # A result that is left over from before a retry or a repair is no end.
            assert outcome is ALIVE[life_cycle], shown
        elif result:
            assert outcome is meaning_of_result[str(result)], shown
        elif life_cycle in OVER:
            assert outcome.ended, shown
    for state, code, kind in product(STATES, CODES, TYPES):
        details = {"termination_details": {"code": code, "type": kind}}
        outcome = parse_status({"status": {"state": state, **details}}).outcome
        shown = (state, None, code, kind, outcome)
        if state in ALIVE:
            assert outcome is ALIVE[state], shown
        else:
            assert outcome.ended == (state == "TERMINATED" or bool(code)), shown
        if "SUCCESS" not in str(code) and kind != "SUCCESS" and code != "DISABLED":
            assert not outcome.ok, shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = (
    "run_id", "job_id", "state", "status", "repair_history", "job_parameters", "tasks",
    "overriding_parameters", "start_time", "end_time", "run_page_url", "run_name",
)  # fmt: skip
TASK_FIELDS = ("run_id", "attempt_number", "state", "depends_on", "start_time", "setup_duration")


@given(
    st.dictionaries(st.sampled_from(FIELDS), json_values),
    st.dictionaries(st.sampled_from(TASK_FIELDS), json_values),
    json_values,
)
def test_no_value_raises(
    payload: dict[str, Any], task: dict[str, Any], anything: dict[str, Any]
) -> None:
    parse_run(payload)
    items = [anything, {"task_key": "a", "id": anything, "task_run_ids": anything, **task}]
    run = parse_run({"tasks": items, "repair_history": items, "job_parameters": items})
    assert run.current["a"].outcome is Outcome.PENDING
    assert None not in run.job_parameters


def test_numbers_may_come_as_text_or_with_a_point() -> None:
    attempt = parse_run({"tasks": [entry("a", 1, 0, OK, start_time=1.795e12)]}).attempts[0]
    assert attempt.start_time == 1_795_000_000_000
    run = parse_run({"run_id": "9007199254740993", "repair_history": [{"task_run_ids": ["5"]}]})
    assert run.run_id == 9007199254740993
    assert run.history[0].task_run_ids == {5}


def test_what_is_no_list_holds_nothing() -> None:
    for nothing in (5, "x", {"a": 1}, None, [5]):
        run = parse_run(
            {
                "tasks": nothing,
                "repair_history": [{"id": 7, "task_run_ids": nothing}],
                "job_parameters": nothing,
            }
        )
        assert run.attempts == ()
        assert run.job_parameters == {}
        assert run.latest_repair_id == 7
    task = parse_run({"tasks": [{"task_key": "b", "depends_on": "a"}]}).current["b"]
    assert task.depends_on == ()


def test_a_parameter_that_was_not_given_has_its_default() -> None:
    run = parse_run(
        {
            "job_parameters": [
                {"name": "country", "default": "Norway"},
                {"name": "year", "default": "2000", "value": None},
                {"name": "note", "default": "some", "value": ""},
            ]
        }
    )
    assert run.job_parameters == {"country": "Norway", "year": "2000", "note": ""}


def test_what_tasks_were_given_instead_of_job_parameters_is_read() -> None:
    given = {"notebook_params": {"country": "Norway"}, "python_params": ["a", "b"]}
    empty: dict[str, Any] = {"jar_params": [], "sql_params": {}, "dbt_commands": None}
    assert parse_run({"overriding_parameters": {**given, **empty}}).overriding_parameters == given
    assert parse_run({}).overriding_parameters == {}


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
