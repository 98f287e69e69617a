"""When to look at a run again: often while something is about to change, rarely otherwise. Pure.

A watch has an allowance of polls: a burst at its start, then one for each longest delay, and a
little more in a run that lasts longer than seven minutes. A run of seven minutes takes at most 49
polls, which leaves eleven requests for starting it and reading its outputs under a limit of 60.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from blocks.databricks.state import RunState, TaskAttempt

SHORTEST = 1.0
LONGEST = 15.0
# Half of it is the median lag and all of it the longest, with room for a slow answer.
_ALERT = 1.6
# A stretch in which nothing has changed for this long is a quiet one.
_QUIET_SECONDS = 15.0
_BURST = 16
_LONG_RUN_SECONDS = 420.0
_RECENT = 10


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
        One window for each attempt under way, None for those without a history. A task that waits
        for another one is not under way.
    """
    return tuple(
        _window(attempt, earlier.get(attempt.task_key, ())[-_RECENT:], run_age - started)
        for attempt in state.attempts
        if not attempt.outcome.ended and attempt.status.life_cycle_state in _UNDER_WAY
        for started in [(attempt.start_time - state.start_time) / 1000]
    )


_UNDER_WAY = frozenset({"PENDING", "RUNNING", "TERMINATING"})


def _window(attempt: TaskAttempt, timings: Sequence[Timing], age: float) -> Window | None:
    if not timings:
        return None
    # The set-up varies most; once it is over it is known.
    setups = [attempt.setup_ms / 1000] if attempt.setup_ms else [each.setup for each in timings]
    works = [each.work for each in timings]
    spread = 0.1 if len(timings) < 3 else 0.02
    unsure = median(works) + (0.0 if attempt.setup_ms else median(setups))
    margin = 0.5 + spread * unsure
    return Window(
        min(setups) + min(works) - margin - age,
        max(setups) + max(works) + margin - age,
    )


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
        From ``SHORTEST`` to ``LONGEST``.
    """
    wanted = min((_wanted(window, quiet) for window in ends), default=_unforeseen(quiet))
    return min(LONGEST, max(SHORTEST, wanted, _affordable(elapsed, polls)))


def _wanted(window: Window | None, quiet: float) -> float:
    if window is None:
        return _unforeseen(quiet)
    # A narrow window is worth a closer look: its end always comes at about the same moment.
    alert = min(_ALERT, (window.latest - window.earliest) / 8)
    if window.earliest > 0:
        return max(alert, window.earliest)
    return alert if window.latest > 0 else _unforeseen(-window.latest)


def _unforeseen(quiet: float) -> float:
    """Grow with the time in which nothing changed: what has lasted long tends to last on."""
    if quiet < _QUIET_SECONDS / 5:
        return SHORTEST
    return _ALERT * max(quiet / _QUIET_SECONDS, 1.0) ** 2


def _affordable(elapsed: float, polls: int) -> float:
    """Grow as the allowance shrinks, though not at once in a run that is still young."""
    extra = max(0.0, elapsed - _LONG_RUN_SECONDS) / LONGEST
    left = max(0.0, _BURST + elapsed / LONGEST + extra - polls)
    return min(LONGEST / (1 + left) ** 4, max(SHORTEST, elapsed / 5))
