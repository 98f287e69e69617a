"""The poller's bounds: how many requests, and how late the end of a task is noticed."""

from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.polling import (
    LONGEST,
    SHORTEST,
    Timing,
    Window,
    expected_ends,
    poll_delay,
    timing,
)
from tests.benchmarks.polling import Job, measure

times = st.floats(-10_000, 10_000)
windows = st.lists(
    st.none() | st.builds(lambda a, b: Window(min(a, b), max(a, b)), times, times), max_size=4
)


@given(st.floats(0, 1e6), st.integers(0, 10_000), st.floats(0, 1e6), windows)
def test_a_delay_is_never_too_short_nor_too_long(
    elapsed: float, polls: int, quiet: float, ends: list[Window | None]
) -> None:
    delay = poll_delay(elapsed=elapsed, polls=polls, quiet=quiet, ends=ends)
    assert SHORTEST <= delay <= LONGEST


@given(
    st.lists(st.tuples(st.floats(0, 60), windows), min_size=1, max_size=20),
    st.floats(0, 0.3),
)
def test_seven_minutes_never_take_more_than_49_polls(
    course: list[tuple[float, list[Window | None]]], answer: float
) -> None:
    """Whatever changes and whatever is predicted."""
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        quiet, ends = course[polls % len(course)]
        elapsed += answer + poll_delay(elapsed=elapsed, polls=polls, quiet=quiet, ends=ends)
        polls += 1
    assert polls <= 49


def test_even_a_run_that_changes_all_the_time_is_polled_no_more() -> None:
    elapsed, polls = 0.0, 0
    while elapsed < 420:
        elapsed += poll_delay(elapsed=elapsed, polls=polls, quiet=0)
        polls += 1
    assert polls <= 49


@pytest.mark.parametrize("length", [5, 15, 30, 60, 120, 300, 420, 900])
def test_ends_that_can_be_predicted_are_noticed_at_once(length: float) -> None:
    polls, lags = measure(length, known=True, runs=100)
    assert median(lags) <= 1
    assert quantiles(lags, n=20)[-1] <= 2
    assert length > 420 or max(polls) <= 49


@pytest.mark.parametrize("length", [5, 10, 15, 20])
def test_ends_of_short_runs_are_noticed_at_once(length: float) -> None:
    _, lags = measure(length, known=False, runs=100)
    assert median(lags) <= 1
    assert quantiles(lags, n=20)[-1] <= 2


def test_a_long_stretch_is_left_in_peace() -> None:
    assert poll_delay(elapsed=300, polls=20, quiet=200) == LONGEST
    far = Window(200, 210)
    assert poll_delay(elapsed=10, polls=1, quiet=0, ends=[far]) == LONGEST
    assert poll_delay(elapsed=10, polls=1, quiet=0, ends=[far, Window(4, 14)]) == 4
    assert poll_delay(elapsed=10, polls=1, quiet=0, ends=[far, None]) == SHORTEST


JOB = Job(startup=60, join=100, transform=40)


def test_only_what_is_under_way_is_expected_to_end() -> None:
    earlier = {key: [each] * 3 for key, each in JOB.timings.items()}
    (window,) = expected_ends(JOB.at(10), earlier, run_age=10)
    assert window is not None
    assert window.earliest < 150 < window.latest
    (later,) = expected_ends(JOB.at(170), earlier, run_age=170)
    assert later is not None
    assert later.earliest < 30 < later.latest
    assert expected_ends(JOB.at(10), {}, run_age=10) == (None,)
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
