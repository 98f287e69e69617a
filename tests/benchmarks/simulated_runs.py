"""Runs on a simulated clock: how often they are polled, how late the ends of tasks are noticed.

Each job has a cluster that starts, then two notebooks, one after the other. Jobs differ in their
length, runs of a job differ a little, and every answer takes a while. "Known" runs have a history
of five earlier ones to predict from; "new" ones do not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blocks.databricks import Outcome, RunState, Status, TaskAttempt
from blocks.databricks.polling import Timing, expected_ends, poll_delay

RUNS = 150
EARLIER = 5
# Standard deviation of a length, as a part of it.
NOISE = 0.02
ANSWER_SECONDS = 0.1
# Parts of a job's length: the cluster's start, then its notebooks.
SHARES = {"startup": 0.3, "join_data": 0.5, "transform_data": 0.2}


@dataclass(frozen=True)
class Job:
    """The true course of one run, in seconds from its start.

    Attributes:
        startup: Until the cluster is there.
        join: The first notebook.
        transform: The second one.
        queue: Before all that.
    """

    startup: float
    join: float
    transform: float
    queue: float = 0.0

    @property
    def ends(self) -> dict[str, float]:
        first = self.queue + self.startup + self.join
        return {"join_data": first, "transform_data": first + self.transform}

    @property
    def timings(self) -> dict[str, Timing]:
        return {
            "join_data": Timing(self.startup, self.join),
            "transform_data": Timing(0.0, self.transform),
        }

    def at(self, now: float) -> RunState:
        """Return the run as ``runs/get`` would show it."""
        first, second = self.ends["join_data"], self.ends["transform_data"]
        attempts = (
            _attempt("join_data", 901, self.queue, self.queue + self.startup, first, now),
            _attempt("transform_data", 902, first, first, second, now),
        )
        over = now >= second
        status = _status("TERMINATED" if over else "RUNNING")
        return RunState(900, 11, status, attempts)


def _attempt(
    key: str, run_id: int, started: float, ready: float, ended: float, now: float
) -> TaskAttempt:
    if now < started:
        waiting = "QUEUED" if key == "join_data" else "BLOCKED"
        return TaskAttempt(key, run_id, 0, _status(waiting))
    phase = "PENDING" if now < ready else "RUNNING" if now < ended else "TERMINATED"
    setup = 0 if now < ready else int(1000 * (ready - started))
    return TaskAttempt(
        key, run_id, 0, _status(phase), start_time=int(1000 * started), setup_ms=setup
    )


def _status(phase: str) -> Status:
    outcomes = {"TERMINATED": Outcome.SUCCEEDED, "RUNNING": Outcome.RUNNING}
    return Status(outcomes.get(phase, Outcome.PENDING), phase)


def random_job(length: float, queue: float, chance: random.Random) -> Job:
    """Draw a run of a job of this length, which is queued for about so long first."""
    startup, join, transform = (
        length * share * max(0.1, chance.gauss(1, NOISE)) for share in SHARES.values()
    )
    return Job(startup, join, transform, queue * chance.uniform(0.5, 1.5))


def watch(job: Job, earlier: Mapping[str, Sequence[Timing]]) -> tuple[int, list[float]]:
    """Watch a run to its end; return the number of polls and the lag of each task's end."""
    seen = job.at(0)
    looked, changed, polls, lags = 0.0, 0.0, 0, list[float]()
    while not seen.outcome.ended:
        ends = expected_ends(seen, earlier, looked)
        looked += poll_delay(elapsed=looked, polls=polls, quiet=looked - changed, ends=ends)
        fresh = job.at(looked)
        polls += 1
        for before, after in zip(seen.attempts, fresh.attempts, strict=True):
            if before.outcome is not after.outcome:
                changed = looked
            if after.outcome.ended and not before.outcome.ended:
                lags.append(looked + ANSWER_SECONDS - job.ends[after.task_key])
        seen = fresh
    return polls, lags


def measure(
    length: float, *, known: bool, queue: float = 0.0, runs: int = RUNS
) -> tuple[list[int], list[float]]:
    """Return the polls of each run and the lags of all their tasks.

    Args:
        length: Of the longest job, in seconds; the shortest takes four fifths of it.
        known: Whether there are earlier runs.
        queue: Seconds for which a run is queued first; they come on top.
        runs: How many of them.
    """
    chance = random.Random(length)
    calls, lags = [], []
    for _ in range(runs):
        usual = length * chance.uniform(0.8, 1)
        before = [random_job(usual, queue, chance).timings for _ in range(EARLIER)]
        earlier = {key: [each[key] for each in before] for key in before[0]} if known else {}
        polls, late = watch(random_job(usual, queue, chance), earlier)
        calls.append(polls)
        lags += late
    return calls, lags
