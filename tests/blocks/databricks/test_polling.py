"""The poller's bounds: how many requests, and how late the end of a task is noticed."""

from math import inf
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import Outcome, RunState, Status, TaskAttempt
from blocks.databricks.polling import (
    SHORTEST,
    Timing,
    Window,
    expected_ends,
    poll_delay,
    timing,
)
from tests.benchmarks.simulated_runs import Job, measure

# Who has spent the allowance but for the last look waits for it, from the third minute on.
LONGEST = 160.0
# A seven-minute run's, without the first one, which is counted with the requests that start it.
MOST_LOOKS = 44

times = st.floats(-10_000, 10_000)
jitters = st.floats(-1, 1)
windows = st.lists(
    st.none() | st.builds(lambda a, b: Window(min(a, b), max(a, b)), times, times), max_size=4
)


@given(st.floats(0, 1e6), st.integers(0, 10_000), jitters, windows)
def test_a_delay_is_never_too_short(
    elapsed: float, polls: int, jitter: float, ends: list[Window | None]
) -> None:
    assert poll_delay(elapsed=elapsed, polls=polls, jitter=jitter, ends=ends) >= SHORTEST


@given(
    st.lists(st.tuples(jitters, windows), min_size=1, max_size=20),
    st.floats(0, 0.3),
)
def test_seven_minutes_never_take_more_than_44_polls_nor_leave_a_long_gap(
    course: list[tuple[float, list[Window | None]]], answer: float
) -> None:
    """Whatever changes and whatever is predicted."""
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        jitter, ends = course[polls % len(course)]
        delay = poll_delay(elapsed=elapsed, polls=polls, jitter=jitter, ends=ends)
        assert delay <= LONGEST
        elapsed += answer + delay
        polls += 1
    assert polls <= MOST_LOOKS


def test_even_a_run_that_changes_all_the_time_is_polled_no_more() -> None:
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        elapsed += poll_delay(elapsed=elapsed, polls=polls, jitter=0, ends=[])
        polls += 1
    assert polls <= MOST_LOOKS


def assert_noticed_at_once(lags: list[float]) -> None:
    assert median(lags) <= 1
    assert quantiles(lags, n=20)[-1] <= 2


@pytest.mark.parametrize("length", [3, 4, 5, 7, 10, 15, 20, 25, 30, 45, 60])
@pytest.mark.parametrize(("start", "tasks"), [(0, 1), (0, 4), (0.3, 2)])
def test_ends_of_short_runs_are_noticed_at_once(length: float, start: float, tasks: int) -> None:
    """From a job of one notebook on serverless compute to one of several on a new cluster."""
    _, lags = measure(length, known=False, start=start, tasks=tasks, runs=500)
    assert_noticed_at_once(lags)


@pytest.mark.parametrize("work", [4, 8, 12, 16, 20])
def test_a_cluster_that_starts_for_forty_seconds_hides_no_end(work: float) -> None:
    _, lags = measure(40 + work, known=False, start=40 / (40 + work), tasks=1, runs=500)
    assert_noticed_at_once(lags)


@pytest.mark.parametrize("length", [3, 5, 15, 60, 150, 300, 420, 900, 3600])
@pytest.mark.parametrize(("start", "tasks"), [(0, 1), (0.3, 2), (0.3, 4)])
def test_ends_that_can_be_predicted_are_noticed_at_once(
    length: float, start: float, tasks: int
) -> None:
    polls, lags = measure(length, known=True, start=start, tasks=tasks)
    assert_noticed_at_once(lags)
    assert length > 420 or max(polls) <= MOST_LOOKS


def test_seven_minutes_of_which_five_are_spent_in_a_queue() -> None:
    _, lags = measure(120, known=True, queue=200)
    assert_noticed_at_once(lags)


def test_a_long_stretch_is_left_in_peace() -> None:
    assert poll_delay(elapsed=300, polls=20, jitter=0, ends=[None]) == 20
    far = Window(200, 210)
    assert poll_delay(elapsed=10, polls=1, jitter=0, ends=[far]) == 20
    assert poll_delay(elapsed=10, polls=1, jitter=0, ends=[far, Window(4, 14)]) == 4
    assert SHORTEST <= poll_delay(elapsed=10, polls=1, jitter=0, ends=[far, None]) < 2


def test_a_spent_allowance_comes_back() -> None:
    assert poll_delay(elapsed=60, polls=40, jitter=0, ends=[]) == 40
    assert poll_delay(elapsed=100, polls=40, jitter=0, ends=[]) == SHORTEST
    assert poll_delay(elapsed=3600, polls=460, jitter=0, ends=[]) == SHORTEST
    assert poll_delay(elapsed=3600, polls=470, jitter=0, ends=[]) == 22.5


JOB = Job(startup=60, works=(100, 40))
FIRST = "task_0"


def test_only_what_is_under_way_is_expected_to_end() -> None:
    earlier = {key: [each] * 3 for key, each in JOB.timings.items()}
    (window,) = expected_ends(JOB.at(10), earlier, run_age=10)
    assert window is not None
    assert window.earliest < 150 < window.latest
    (later,) = expected_ends(JOB.at(170), earlier, run_age=170)
    assert later is not None
    assert later.earliest < 30 < later.latest
    assert expected_ends(JOB.at(70), {}, run_age=70) == (None,)
    assert expected_ends(JOB.at(200), earlier, run_age=200) == ()


def test_a_set_up_that_is_over_is_not_guessed_any_more() -> None:
    slow, quick = Timing(setup=300, work=100), Timing(setup=60, work=100)
    (waiting,) = expected_ends(JOB.at(10), {FIRST: [slow, quick]}, run_age=10)
    (running,) = expected_ends(JOB.at(61), {FIRST: [slow, quick]}, run_age=61)
    assert waiting is not None
    assert running is not None
    assert waiting.latest > 390
    assert running.latest < 120


def test_an_attempt_that_ended_is_a_timing() -> None:
    (first, _) = JOB.at(200).attempts
    assert timing(first) == Timing(setup=60, work=0)


def under_way(life_cycle: str, started: float = 0.0) -> RunState:
    attempt = TaskAttempt(
        FIRST,
        901,
        0,
        Status(Outcome.PENDING, life_cycle),
        start_time=int(1000 * started),
    )
    return RunState(900, 11, Status(Outcome.RUNNING, "RUNNING"), (attempt,))


HISTORY = {FIRST: [Timing(setup=60, work=100)] * 3}


@pytest.mark.parametrize("earlier", [{}, HISTORY])
def test_a_notebook_that_is_over_is_about_to_end(earlier: dict[str, list[Timing]]) -> None:
    ends = expected_ends(under_way("TERMINATING"), earlier, run_age=40)
    assert poll_delay(elapsed=40, polls=10, jitter=0, ends=ends) == SHORTEST


def test_a_late_cluster_does_not_bring_the_end_nearer() -> None:
    (window,) = expected_ends(under_way("PENDING"), HISTORY, run_age=1000)
    assert window is not None
    assert 90 < window.earliest < 100 < window.latest


@pytest.mark.parametrize("life_cycle", ["PENDING", "QUEUED"])
def test_the_longer_a_task_waits_the_less_often_it_is_looked_at(life_cycle: str) -> None:
    delays = []
    for age in (4, 40, 400):
        ends = expected_ends(under_way(life_cycle), {}, run_age=age)
        delays.append(poll_delay(elapsed=age, polls=0, jitter=0, ends=ends))
    assert delays[0] < 2
    assert delays[1:] == [5, 20]


def test_no_history_tells_when_a_queue_moves() -> None:
    (window,) = expected_ends(under_way("QUEUED"), HISTORY, run_age=1000)
    assert window is not None
    assert window.latest == inf
