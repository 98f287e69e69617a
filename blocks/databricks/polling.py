"""When to look at a run again: often while something is about to change, rarely otherwise. Pure.

A run of seven minutes may cost 60 requests in all, and nobody knows before how long a run will be.
Starting the first run of a job (upload, create, start) and reading its outputs takes up to sixteen
of them; the other 44 are an allowance of looks. Most of them can be taken at any time, which is
enough to watch a run closely for its first minute; the rest are spread over what comes then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from blocks.databricks.state import RunState, TaskAttempt

SHORTEST = 1.0
# Half of it is the median lag and all of it the longest, with room for a slow answer.
_ALERT = 1.65
# While no end is near and the allowance permits it: a failure may come at any time.
_CALM = 20.0
# How long the end of a task is awaited closely: one without a history, and one that is overdue.
_PATIENCE_SECONDS = 60.0
_OVERDUE_SECONDS = 15.0
# Looks that can be taken at any time: alert ones for a minute, and for what a start takes.
_FREE_LOOKS = 38
_SHORT_RUN_SECONDS = 60.0
# The last of the allowance comes after the end of a run of seven minutes.
_LONG_RUN_LOOKS = 44
_LONG_RUN_SECONDS = 420.0
# What a longer run may take on top, so that it is not watched less and less.
_SECONDS_PER_LATER_LOOK = 7.5
_RECENT = 10
# A task that has waited for its compute is taken to work for at least this part of the wait.
_WORK_PER_WAIT = 0.25
_WAITING = frozenset({"PENDING", "QUEUED", "WAITING_FOR_RETRY"})
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
        return Window(_WORK_PER_WAIT * age, inf) if life_cycle in _WAITING else None
    # The set-up varies most; once it is over it is known.
    setups = [attempt.setup_ms / 1000] if attempt.setup_ms else [each.setup for each in timings]
    works = [each.work for each in timings]
    spread = 0.1 if len(timings) < 3 else 0.02
    unsure = median(works) + (0.0 if attempt.setup_ms else median(setups))
    margin = 0.5 + spread * unsure
    earliest = min(setups) + min(works) - margin - age
    latest = max(setups) + max(works) + margin - age
    if life_cycle in _WAITING:
        # However long it has waited by now, all of its work is still to come.
        earliest, latest = max(earliest, min(works) - margin), max(latest, max(works) + margin)
    if life_cycle == "QUEUED":
        # No history tells when others make room.
        earliest, latest = max(earliest, _WORK_PER_WAIT * age), inf
    return Window(earliest, latest)


def poll_delay(
    *, elapsed: float, polls: int, quiet: float, ends: Iterable[Window | None] = ()
) -> float:
    """Seconds until the next look at a run.

    Args:
        elapsed: Seconds since the watch began.
        polls: Looks taken since then.
        quiet: Seconds since something last changed.
        ends: What :func:`expected_ends` predicts.

    Returns:
        At least ``SHORTEST``.
    """
    wanted = min((_wanted(window, quiet) for window in ends), default=_wanted(None, quiet))
    return max(SHORTEST, min(wanted, _CALM), _earliest(polls + 1) - elapsed)


def _wanted(window: Window | None, quiet: float) -> float:
    if window is None:
        return _unforeseen(quiet, _PATIENCE_SECONDS)
    # A narrow window is worth a closer look: its end always comes at about the same moment.
    alert = min(_ALERT, (window.latest - window.earliest) / 8)
    if window.earliest > 0:
        return max(alert, window.earliest)
    return alert if window.latest > 0 else _unforeseen(-window.latest, _OVERDUE_SECONDS)


def _unforeseen(since: float, patience: float) -> float:
    """Grow with the time in which nothing happened: what has lasted long tends to last on."""
    return _ALERT * max(since / patience, 1.0) ** 2


def _earliest(look: int) -> float:
    """Return from when on the allowance has this look, in seconds since the watch began."""
    if look <= _FREE_LOOKS:
        return 0.0
    if look > _LONG_RUN_LOOKS:
        return _LONG_RUN_SECONDS + (look - _LONG_RUN_LOOKS) * _SECONDS_PER_LATER_LOOK
    part = (look - _FREE_LOOKS) / (_LONG_RUN_LOOKS - _FREE_LOOKS)
    return _SHORT_RUN_SECONDS + part * (_LONG_RUN_SECONDS - _SHORT_RUN_SECONDS)
