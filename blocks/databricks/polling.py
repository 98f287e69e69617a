"""When to look at a run again: often while an end may be near, rarely otherwise. Pure.

A run of seven minutes may cost 60 requests in all, and nobody knows before how long a run will be.
Starting the first run of a job (upload, create, start) and reading its outputs takes up to sixteen
of them; the other 44 are an allowance of looks. Forty can be taken at any time, which is enough to
watch a run closely for its first minute; the rest are spread over what comes then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from blocks.databricks.state import RunState, TaskAttempt

SHORTEST = 1.0
# While an end may be near: half of it is the median lag, with room for a slow answer.
_ALERT = 1.5
# While none is and the allowance permits it: a failure may come at any time.
_CALM = 20.0
# What has lasted long tends to last on: it is looked at again after this part of that time.
_PART = 1 / 8
# Gaps vary by this part, or the end of a job that always takes as long would always come late.
_UNEVEN = 0.3
# Before they have varied enough for that they are shorter, and grow by a second in this time.
_EARLY_SECONDS = 15.0
# Looks that can be taken at any time: all that a short run without a history gets.
_FREE_LOOKS = 40
_SHORT_RUN_SECONDS = 60.0
# From when on there are the other four, each 1.6 times as late as the one before; the last comes
# after the end of a run of seven minutes.
_LATER_LOOKS = (100.0, 160.0, 260.0, 420.0)
# What a longer run may take on top, so that it is not watched less and less.
_SECONDS_PER_FURTHER_LOOK = 7.5
# Jobs and their data change: how many of the latest runs are taken to be like this one.
_RECENT = 10
_WAITING = frozenset({"PENDING", "QUEUED", "WAITING", "WAITING_FOR_RETRY"})
_UNDER_WAY = _WAITING | {"RUNNING", "TERMINATING"}


@dataclass(frozen=True)
class Timing:
    """How long a task took in an earlier run, in seconds.

    Attributes:
        setup: Until its cluster was there.
        work: From then to the end.
    """

    setup: float
    work: float


@dataclass(frozen=True)
class Window:
    """When a task is expected to end, in seconds from now; negative when that has passed."""

    earliest: float
    latest: float


# The notebook is over, and what is left takes a moment.
_CLEANING_UP = Window(0.0, 8.0)


def timing(attempt: TaskAttempt) -> Timing:
    """Return what an attempt that has ended tells about later ones."""
    return Timing(attempt.setup_ms / 1000, (attempt.execution_ms + attempt.cleanup_ms) / 1000)


def expected_ends(
    state: RunState, earlier: Mapping[str, Sequence[Timing]], run_age: float
) -> tuple[Window | None, ...]:
    """Predict when the tasks that are under way will end.

    Args:
        state: The run as last read.
        earlier: Timings of successful attempts in earlier runs, by task key, newest last.
        run_age: Seconds from the run's ``start_time`` to now. Ages of tasks are reckoned from it,
            so that the workspace's clock and this machine's need not agree.

    Returns:
        One window for each attempt under way; None for one of which nothing is known, which runs
        and has no history. A task that waits for another one is not under way.
    """
    return tuple(
        _window(attempt, earlier.get(attempt.task_key, ())[-_RECENT:], run_age - started)
        for attempt in state.attempts
        if attempt.status.life_cycle_state in _UNDER_WAY
        for started in [max(0, attempt.start_time - state.start_time) / 1000]
    )


def _window(attempt: TaskAttempt, timings: Sequence[Timing], age: float) -> Window | None:
    life_cycle = attempt.status.life_cycle_state
    if life_cycle == "TERMINATING":
        return _CLEANING_UP
    if not timings:
        return Window(_PART * age, inf) if life_cycle in _WAITING else None
    # The set-up varies most; once it is over it is known.
    setups = [attempt.setup_ms / 1000] if attempt.setup_ms else [each.setup for each in timings]
    works = [each.work for each in timings]
    # Two runs tell little about how much all of them differ, and none is exact to the second.
    spread = 0.1 if len(timings) < 3 else 0.03
    unsure = median(works) + (0.0 if attempt.setup_ms else median(setups))
    margin = 0.5 + spread * unsure
    earliest = min(setups) + min(works) - margin - age
    latest = max(setups) + max(works) + margin - age
    if life_cycle in _WAITING:
        # However long it has waited by now, all of its work is still to come.
        earliest, latest = max(earliest, min(works) - margin), max(latest, max(works) + margin)
    if life_cycle == "QUEUED":
        # No history tells when others make room.
        earliest, latest = max(earliest, _PART * age), inf
    return Window(earliest, latest)


def poll_delay(
    *, elapsed: float, polls: int, jitter: float, ends: Iterable[Window | None]
) -> float:
    """Seconds until the next look at a run.

    Args:
        elapsed: Seconds since the watch began.
        polls: Looks taken since then.
        jitter: A random number from -1 to 1.
        ends: What :func:`expected_ends` predicts; nothing while one task hands over to the next.

    Returns:
        At least ``SHORTEST``.
    """
    unforeseen = _unforeseen(elapsed, polls, jitter)
    wanted = min((_wanted(window, unforeseen) for window in ends), default=SHORTEST)
    return max(SHORTEST, min(wanted, _CALM), _earliest(polls + 1) - elapsed)


def _wanted(window: Window | None, unforeseen: float) -> float:
    if window is None:
        return unforeseen
    # A narrow window is worth a closer look: its end always comes at about the same moment.
    alert = min(unforeseen, _ALERT, _PART * (window.latest - window.earliest))
    return max(alert, window.earliest, -_PART * window.latest)


def _unforeseen(elapsed: float, polls: int, jitter: float) -> float:
    """Return after which time to look for an end that nothing predicts."""
    if elapsed > _SHORT_RUN_SECONDS:
        return _PART * elapsed
    lasting = (_SHORT_RUN_SECONDS - elapsed) / max(1, _FREE_LOOKS - polls)
    gap = min(SHORTEST + elapsed / _EARLY_SECONDS, max(_ALERT, lasting))
    return gap * (1 + _UNEVEN * jitter)


def _earliest(look: int) -> float:
    """Return from when on the allowance has this look, in seconds since the watch began."""
    if look <= _FREE_LOOKS:
        return 0.0
    later = look - _FREE_LOOKS
    scheduled = min(later, len(_LATER_LOOKS))
    return _LATER_LOOKS[scheduled - 1] + (later - scheduled) * _SECONDS_PER_FURTHER_LOOK
