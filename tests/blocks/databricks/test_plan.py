"""What is repaired and when, and when nothing is."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import (
    ClusterChanges,
    FailureClass,
    NoRepair,
    Outcome,
    RepairPlan,
    RepairPolicy,
    RunState,
    Status,
    plan_repair,
)
from tests.blocks.databricks.runs import (
    CANCELLED,
    CLOUD,
    DENIED,
    OK,
    RAISED,
    STRANGE,
    VICTIM,
    Story,
    failed_with,
)


def planned(state: RunState, policy: RepairPolicy | None = None, **given: object) -> RepairPlan:
    plan = plan_repair(state, policy or RepairPolicy(), **given)  # type: ignore[arg-type]  # as given
    assert isinstance(plan, RepairPlan), plan
    return plan


def refused(state: RunState, policy: RepairPolicy | None = None, **given: object) -> NoRepair:
    plan = plan_repair(state, policy or RepairPolicy(), **given)  # type: ignore[arg-type]  # as given
    assert isinstance(plan, NoRepair), plan
    return plan


def test_failed_tasks_and_their_victims_are_sent_once_each() -> None:
    plan = planned(Story({"a": OK, "b": RAISED, "c": VICTIM}).state)
    assert plan.task_keys == ("b", "c")
    assert plan.latest_repair_id is None
    assert plan.delay_seconds == 0
    assert plan.reasons == {"b": "user code, RUN_EXECUTION_ERROR"}
    assert not plan.cluster_changes


@given(
    delay=st.floats(0, 600), passed=st.floats(-7200, 7200), ended=st.integers(1, 2_000_000_000_000)
)
def test_the_wait_before_a_repair_counts_from_the_failure_and_never_exceeds_the_delay(
    delay: float, passed: float, ended: int
) -> None:
    state = replace(Story({"a": RAISED}).state, end_time=ended)
    plan = RepairPlan(("a",), None, delay_seconds=delay)
    wait = plan.seconds_to_wait(state, ended / 1000 + passed)
    assert 0 <= wait <= delay
    if passed >= 0:
        assert wait == pytest.approx(max(0.0, delay - passed), abs=1e-3)
    assert plan.seconds_to_wait(replace(state, end_time=0), 5.0) == delay


def test_the_repair_before_is_quoted() -> None:
    story = Story({"a": RAISED}).repaired({"a": RAISED}).repaired({"a": RAISED})
    assert planned(story.state, RepairPolicy(max_repairs=3)).latest_repair_id == 7002


def test_by_default_a_notebook_gets_one_repair_and_the_infrastructure_more() -> None:
    once_more = NoRepair(
        "1 repair after failures of a notebook did not help, and user_code_repairs allows no more",
        exhausted=True,
    )
    assert refused(Story({"a": RAISED}).repaired({"a": RAISED}).state) == once_more
    assert refused(Story({"a": STRANGE}).repaired({"a": STRANGE}).state) == once_more
    story = Story({"a": CLOUD})
    for _ in range(3):
        assert planned(story.state).delay_seconds > 0
        story.repaired({"a": CLOUD})
    assert refused(story.state).exhausted
    assert refused(story.state, RepairPolicy(task_repairs=9)) == NoRepair(
        "3 repairs after failures of the infrastructure did not help, and infrastructure_repairs "
        "allows no more",
        exhausted=True,
    )


@pytest.mark.parametrize("status", [RAISED, CLOUD, STRANGE])
def test_max_repairs_alone_is_the_number_of_repairs(status: Status) -> None:
    policy = RepairPolicy.model_validate({"max_repairs": 5})
    story = Story({"a": status})
    for _ in range(5):
        planned(story.state, policy)
        story.repaired({"a": status})
    assert refused(story.state, policy) == NoRepair(
        "5 repairs did not help, and max_repairs allows no more", exhausted=True
    )
    assert refused(Story({"a": status}).state, RepairPolicy(max_repairs=0)) == NoRepair(
        "max_repairs allows no repair", exhausted=True
    )


def test_a_task_that_failed_after_another_has_a_budget_of_its_own() -> None:
    policy = RepairPolicy(
        max_repairs=9, task_repairs=1, user_code_repairs=9, infrastructure_repairs=9
    )
    story = Story({"a": RAISED, "b": VICTIM}).repaired({"a": OK, "b": RAISED})
    assert planned(story.state, policy).task_keys == ("b",)
    assert refused(story.repaired({"b": CLOUD}).state, policy) == NoRepair(
        "1 repair after failures of b did not help, and task_repairs allows no more", exhausted=True
    )


def test_what_databricks_tries_again_by_itself_is_no_repair() -> None:
    policy = RepairPolicy(max_repairs=1)
    story = Story({"a": [RAISED, RAISED, RAISED, RAISED]})
    planned(story.state, policy)
    assert refused(story.repaired({"a": [RAISED, RAISED]}).state, policy).exhausted


def test_a_retry_that_the_history_does_not_list_is_no_repair_either() -> None:
    state = Story({"a": [CLOUD, RAISED]}).state
    original = replace(state.history[0], task_run_ids=frozenset({901}))
    assert planned(replace(state, history=(original,))).reasons == {
        "a": "user code, RUN_EXECUTION_ERROR"
    }


def test_repairs_of_an_earlier_try_do_not_count() -> None:
    story = Story({"a": RAISED}).repaired({"a": RAISED})
    assert planned(story.state, repairs_before=1).latest_repair_id == 7001
    assert refused(story.repaired({"a": RAISED}).state, repairs_before=1).exhausted


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if not outcome.ended or outcome.ok]
)
def test_what_is_alive_or_done_is_left_alone(outcome: Outcome) -> None:
    state = replace(Story({"a": RAISED}).state, status=Status(outcome))
    assert not refused(state, RepairPolicy(max_repairs=9)).exhausted


def test_what_a_person_cancelled_is_never_repaired() -> None:
    policy = RepairPolicy(
        max_repairs=9, failure_classes={"USER_CANCELED": FailureClass.INFRASTRUCTURE}
    )
    state = Story({"a": RAISED}).state
    cancelled = replace(state, status=CANCELLED)
    assert refused(cancelled, policy) == NoRepair("the run was cancelled")
    assert refused(Story({"a": CLOUD, "b": CANCELLED}).state, policy) == NoRepair("b was cancelled")


def test_tasks_that_the_runs_own_time_out_ended_are_repaired() -> None:
    timed_out = Status(Outcome.TIMED_OUT, "TERMINATED", "TIMEDOUT", "CANCELED")
    ended = Status(Outcome.CANCELED, "TERMINATED", "CANCELED", "CANCELED")
    state = replace(Story({"a": OK, "b": ended}).state, status=timed_out)
    assert planned(state).task_keys == ("b",)
    by_hand = replace(Story({"a": OK, "b": CANCELLED}).state, status=timed_out)
    assert refused(by_hand).reason == "b was cancelled"


def test_a_wrong_configuration_is_not_tried_again() -> None:
    state = Story({"a": CLOUD, "b": DENIED}).state
    assert refused(state) == NoRepair("b would fail again (configuration, UNAUTHORIZED_ERROR)")
    policy = RepairPolicy(failure_classes={"UNAUTHORIZED_ERROR": FailureClass.INFRASTRUCTURE})
    assert planned(state, policy).task_keys == ("a", "b")


def test_a_run_that_never_started_a_task_is_left_alone() -> None:
    status = Status(Outcome.SKIPPED, "SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED")
    assert not refused(RunState(900, 11, status)).exhausted


def test_tasks_left_over_by_a_repair_of_their_cause_alone_are_sent() -> None:
    story = Story({"a": RAISED, "b": VICTIM}).repaired({"a": OK})
    assert planned(story.state, RepairPolicy(max_repairs=2)).task_keys == ("b",)


def test_delays_grow_up_to_the_longest_and_chance_takes_off_a_part() -> None:
    policy = RepairPolicy(
        max_repairs=20,
        task_repairs=20,
        infrastructure_repairs=20,
        infrastructure_delay_seconds=10,
        delay_growth=3,
        max_delay_seconds=100,
        delay_jitter=0.5,
    )
    story = Story({"a": CLOUD})
    delays = []
    for _ in range(5):
        delays.append(planned(story.state, policy).delay_seconds)
        assert planned(story.state, policy, jitter=1.0).delay_seconds == delays[-1] / 2
        story.repaired({"a": CLOUD})
    assert delays == [10, 30, 90, 100, 100]


def test_another_cluster_after_what_it_cures() -> None:
    policy = RepairPolicy(
        max_repairs=9, out_of_memory_node_type_id="r5.xlarge", on_demand_after_spot_loss=True
    )
    story = Story({"a": RAISED})
    memory, spot = {901: "MemoryError"}, {902: "SPOT_INSTANCE_TERMINATION"}
    assert planned(story.state, policy).cluster_changes == ClusterChanges()
    assert planned(story.state, policy, errors=memory).cluster_changes == ClusterChanges(
        "r5.xlarge"
    )
    assert planned(story.state, policy, errors=memory).reasons == {
        "a": "user code, RUN_EXECUTION_ERROR, out of memory"
    }
    story.repaired({"a": failed_with("RUN_EXECUTION_ERROR")})
    both = planned(story.state, policy, errors=memory | spot)
    assert both.cluster_changes == ClusterChanges("r5.xlarge", on_demand=True)
    assert both.delay_seconds == policy.infrastructure_delay_seconds
    assert not planned(story.state, RepairPolicy(max_repairs=9), errors=spot).cluster_changes


ENDS = st.sampled_from([OK, OK, RAISED, CLOUD, STRANGE, VICTIM])
POLICIES = st.builds(
    RepairPolicy,
    max_repairs=st.integers(0, 6),
    task_repairs=st.integers(0, 4),
    user_code_repairs=st.integers(0, 4),
    infrastructure_repairs=st.integers(0, 4),
    infrastructure_delay_seconds=st.floats(0, 100),
    delay_growth=st.floats(1, 10),
    max_delay_seconds=st.floats(0, 1000),
)


@given(
    first=st.dictionaries(st.sampled_from("abcd"), ENDS, min_size=1),
    later=st.lists(st.lists(ENDS, min_size=4, max_size=4), min_size=7, max_size=7),
    retries=st.integers(1, 3),
    policy=POLICIES,
    jitter=st.floats(0, 1),
)
def test_every_loop_of_repairs_ends_within_its_budgets(
    first: dict[str, Status],
    later: list[list[Status]],
    retries: int,
    policy: RepairPolicy,
    jitter: float,
) -> None:
    def tried(status: Status) -> list[Status]:
        """Databricks tries a notebook that raised again by itself."""
        return [status] * (retries if status is RAISED else 1)

    story = Story({key: tried(status) for key, status in first.items()})
    budget = {FailureClass.USER_CODE: 0, FailureClass.INFRASTRUCTURE: 0}
    by_task: dict[str, int] = {}
    repairs = 0
    while isinstance(plan := plan_repair(story.state, policy, jitter=jitter), RepairPlan):
        current = story.state.current
        wanted = {key for key, attempt in current.items() if not attempt.outcome.ok}
        assert set(plan.task_keys) == wanted
        assert len(plan.task_keys) == len(wanted)
        assert plan.latest_repair_id == (7000 + repairs if repairs else None)
        assert 0 <= plan.delay_seconds <= policy.max_delay_seconds
        causes = [key for key in wanted if current[key].status is not VICTIM]
        assert set(plan.reasons) == set(causes)
        for key in causes:
            by_task[key] = by_task.get(key, 0) + 1
        for found in {
            FailureClass.INFRASTRUCTURE if current[key].status is CLOUD else FailureClass.USER_CODE
            for key in causes
        }:
            budget[found] += 1
        story.repaired(
            {key: tried(e) for key, e in zip(plan.task_keys, later[repairs], strict=False)}
        )
        repairs += 1
    assert repairs <= policy.max_repairs
    assert max(by_task.values(), default=0) <= policy.task_repairs
    assert budget[FailureClass.USER_CODE] <= policy.user_code_repairs
    assert budget[FailureClass.INFRASTRUCTURE] <= policy.infrastructure_repairs
    assert plan.exhausted == (not story.state.outcome.ok)


@given(POLICIES)
def test_delays_never_shrink_between_repairs(policy: RepairPolicy) -> None:
    policy = policy.model_copy(
        update={"max_repairs": 20, "task_repairs": 20, "infrastructure_repairs": 20}
    )
    story = Story({"a": CLOUD})
    delays = []
    for _ in range(6):
        delays.append(planned(story.state, policy).delay_seconds)
        story.repaired({"a": CLOUD})
    assert all(earlier <= later for earlier, later in pairwise(delays))


@pytest.mark.parametrize(
    ("left", "expected"), [(31, True), (30, False), (0, False), (-1, False), (float("inf"), True)]
)
def test_no_repair_is_planned_for_after_the_deadline(left: float, expected: bool) -> None:
    policy = RepairPolicy(deadline_minutes=5, delay_jitter=0)  # and 30 s before the repair
    plan = plan_repair(Story({"a": CLOUD}).state, policy, seconds_left=left)
    assert isinstance(plan, RepairPlan) is expected
    if isinstance(plan, NoRepair):
        assert plan == NoRepair("its time is over (deadline_minutes is 5)", exhausted=True)


def test_a_run_that_is_alive_is_over_only_when_its_time_is() -> None:
    alive = replace(Story({"a": OK}).state, status=Status(Outcome.RUNNING))
    assert refused(alive, seconds_left=1).reason == "the run is still alive"
    # Nobody is asked while it still burns money.
    assert refused(alive, RepairPolicy(deadline_minutes=5), seconds_left=0) == NoRepair(
        "its time is over (deadline_minutes is 5)"
    )
