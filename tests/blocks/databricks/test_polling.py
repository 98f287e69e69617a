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

# Who has spent 38 looks in 38 s, the fastest way, waits for the end of the second minute.
LONGEST = 82.0
# A seven-minute run's, without the first one, which is counted with the requests that start it.
MOST_LOOKS = 44

times = st.floats(-10_000, 10_000)
windows = st.lists(
    st.none() | st.builds(lambda a, b: Window(min(a, b), max(a, b)), times, times), max_size=4
)


@given(st.floats(0, 1e6), st.integers(0, 10_000), st.floats(0, 1e6), windows)
def test_a_delay_is_never_too_short(
    elapsed: float, polls: int, quiet: float, ends: list[Window | None]
) -> None:
    delay = poll_delay(elapsed=elapsed, polls=polls, quiet=quiet, ends=ends)
    assert delay >= SHORTEST


@given(
    st.lists(st.tuples(st.floats(0, 60), windows), min_size=1, max_size=20),
    st.floats(0, 0.3),
)
def test_seven_minutes_never_take_more_than_44_polls_nor_leave_a_long_gap(
    course: list[tuple[float, list[Window | None]]], answer: float
) -> None:
    """Whatever changes and whatever is predicted."""
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        quiet, ends = course[polls % len(course)]
        delay = poll_delay(elapsed=elapsed, polls=polls, quiet=quiet, ends=ends)
        assert delay <= LONGEST
        elapsed += answer + delay
        polls += 1
    assert polls <= MOST_LOOKS


def test_even_a_run_that_changes_all_the_time_is_polled_no_more() -> None:
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        elapsed += poll_delay(elapsed=elapsed, polls=polls, quiet=0)
        polls += 1
    assert polls <= MOST_LOOKS


@pytest.mark.parametrize("length", [5, 15, 60, 300, 420])
def test_ends_that_can_be_predicted_are_noticed_at_once(length: float) -> None:
    polls, lags = measure(length, known=True)
    assert median(lags) <= 1
    assert quantiles(lags, n=20)[-1] <= 2
    assert max(polls) <= MOST_LOOKS


@pytest.mark.parametrize("length", [5, 15, 30, 45, 60])
def test_ends_of_short_runs_are_noticed_at_once(length: float) -> None:
    polls, lags = measure(length, known=False)
    assert median(lags) <= 1
    assert quantiles(lags, n=20)[-1] <= 2
    assert max(polls) <= MOST_LOOKS


@pytest.mark.parametrize("known", [False, True])
def test_seven_minutes_of_which_five_are_spent_in_a_queue(known: bool) -> None:
    polls, lags = measure(120, known=known, queue=200, runs=100)
    assert max(polls) <= MOST_LOOKS
    assert not known or median(lags) <= 1
    assert not known or quantiles(lags, n=20)[-1] <= 2


def test_a_long_stretch_is_left_in_peace() -> None:
    assert poll_delay(elapsed=300, polls=20, quiet=250) == 20
    far = Window(200, 210)
    assert poll_delay(elapsed=10, polls=1, quiet=0, ends=[far]) == 20
    assert poll_delay(elapsed=10, polls=1, quiet=0, ends=[far, Window(4, 14)]) == 4
    assert SHORTEST <= poll_delay(elapsed=10, polls=1, quiet=0, ends=[far, None]) < 2


def test_a_spent_allowance_comes_back() -> None:
    assert poll_delay(elapsed=60, polls=38, quiet=0) == 60
    assert poll_delay(elapsed=120, polls=38, quiet=0) < 2
    assert poll_delay(elapsed=3600, polls=460, quiet=0) < 2
    assert poll_delay(elapsed=3600, polls=470, quiet=0) == 22.5


JOB = Job(startup=60, join=100, transform=40)


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
    (waiting,) = expected_ends(JOB.at(10), {"join_data": [slow, quick]}, run_age=10)
    (running,) = expected_ends(JOB.at(61), {"join_data": [slow, quick]}, run_age=61)
    assert waiting is not None
    assert running is not None
    assert waiting.latest > 390
    assert running.latest < 120


def test_an_attempt_that_ended_is_a_timing() -> None:
    (first, _) = JOB.at(200).attempts
    assert timing(first) == Timing(setup=60, work=0)


def under_way(life_cycle: str, started: float = 0.0) -> RunState:
    attempt = TaskAttempt(
        "join_data",
        901,
        0,
        Status(Outcome.PENDING, life_cycle),
        start_time=int(1000 * started),
    )
    return RunState(900, 11, Status(Outcome.RUNNING, "RUNNING"), (attempt,))


HISTORY = {"join_data": [Timing(setup=60, work=100)] * 3}


@pytest.mark.parametrize("earlier", [{}, HISTORY])
def test_a_notebook_that_is_over_is_about_to_end(earlier: dict[str, list[Timing]]) -> None:
    ends = expected_ends(under_way("TERMINATING"), earlier, run_age=40)
    assert poll_delay(elapsed=40, polls=10, quiet=200, ends=ends) == SHORTEST


def test_a_late_cluster_does_not_bring_the_end_nearer() -> None:
    (window,) = expected_ends(under_way("PENDING"), HISTORY, run_age=1000)
    assert window is not None
    assert 90 < window.earliest < 100 < window.latest


@pytest.mark.parametrize("life_cycle", ["PENDING", "QUEUED"])
def test_the_longer_a_task_waits_the_less_often_it_is_looked_at(life_cycle: str) -> None:
    delays = []
    for age in (4, 40, 400):
        ends = expected_ends(under_way(life_cycle), {}, run_age=age)
        delays.append(poll_delay(elapsed=age, polls=0, quiet=age, ends=ends))
    assert delays[0] < 2
    assert delays[1:] == [10, 20]


def test_no_history_tells_when_a_queue_moves() -> None:
    (window,) = expected_ends(under_way("QUEUED"), HISTORY, run_age=1000)
    assert window is not None
    assert window.latest == inf
