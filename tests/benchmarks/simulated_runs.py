"""Runs on a simulated clock: how often they are polled, how late the ends of tasks are noticed.

Each job has a cluster that starts, then notebooks, one after the other. Jobs differ in their
length, runs of a job differ a little, and every answer takes a while. "Known" runs have a history
of five earlier ones to predict from; "new" ones do not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from blocks.databricks import Outcome, RunState, Status, TaskAttempt
from blocks.databricks.polling import Timing, expected_ends, poll_delay

RUNS = 150
EARLIER = 5
# Standard deviation of a length, as a part of it.
NOISE = 0.02
ANSWER_SECONDS = (0.1, 0.3)


@dataclass(frozen=True)
class Job:
    """The true course of one run, in seconds from its start.

    Attributes:
        startup: Until the cluster is there.
        works: The notebooks, each of which waits for the one before.
        queue: Before all that.
    """

    startup: float
    works: tuple[float, ...]
    queue: float = 0.0

    @property
    def ends(self) -> list[float]:
        return list(accumulate(self.works, initial=self.queue + self.startup))[1:]

    @property
    def timings(self) -> dict[str, Timing]:
        setups = (self.startup, *(0.0 for _ in self.works[1:]))
        return {
            _key(task): Timing(setup, work)
            for task, (setup, work) in enumerate(zip(setups, self.works, strict=True))
        }

    def at(self, now: float) -> RunState:
        """Return the run as ``runs/get`` would show it."""
        ends = self.ends
        starts = [self.queue, *ends[:-1]]
        attempts = tuple(
            _attempt(task, start, start if task else start + self.startup, end, now)
            for task, (start, end) in enumerate(zip(starts, ends, strict=True))
        )
        status = _status("TERMINATED" if now >= ends[-1] else "RUNNING")
        return RunState(900, 11, status, attempts)


def _key(task: int) -> str:
    return f"task_{task}"


def _attempt(task: int, started: float, ready: float, ended: float, now: float) -> TaskAttempt:
    key, run_id = _key(task), 901 + task
    if now < started:
        return TaskAttempt(key, run_id, 0, _status("BLOCKED" if task else "QUEUED"))
    phase = "PENDING" if now < ready else "RUNNING" if now < ended else "TERMINATED"
    setup = 0 if now < ready else int(1000 * (ready - started))
    return TaskAttempt(
        key, run_id, 0, _status(phase), start_time=int(1000 * started), setup_ms=setup
    )


def _status(phase: str) -> Status:
    outcomes = {"TERMINATED": Outcome.SUCCEEDED, "RUNNING": Outcome.RUNNING}
    return Status(outcomes.get(phase, Outcome.PENDING), phase)


def random_job(length: float, start: float, tasks: int, queue: float, chance: random.Random) -> Job:
    """Draw a run of a job of this length, which is queued for about so long first."""

    def drawn(part: float) -> float:
        return length * part * max(0.1, chance.gauss(1, NOISE))

    shares = range(tasks, 0, -1)
    works = tuple(drawn((1 - start) * share / sum(shares)) for share in shares)
    return Job(drawn(start), works, queue * chance.uniform(0.5, 1.5))


def watch(
    job: Job, earlier: Mapping[str, Sequence[Timing]], chance: random.Random
) -> tuple[int, list[float]]:
    """Watch a run to its end; return the number of polls and the lag of each task's end."""
    seen = job.at(0)
    looked, polls, lags = 0.0, 0, list[float]()
    while not seen.outcome.ended:
        ends = expected_ends(seen, earlier, looked)
        looked += poll_delay(elapsed=looked, polls=polls, jitter=chance.uniform(-1, 1), ends=ends)
        answer = chance.uniform(*ANSWER_SECONDS)
        fresh = job.at(looked + answer / 2)
        polls += 1
        for before, after, end in zip(seen.attempts, fresh.attempts, job.ends, strict=True):
            if after.outcome.ended and not before.outcome.ended:
                lags.append(looked + answer - end)
        seen = fresh
    return polls, lags


def measure(
    length: float,
    *,
    known: bool,
    start: float = 0.3,
    tasks: int = 2,
    queue: float = 0.0,
    runs: int = RUNS,
) -> tuple[list[int], list[float]]:
    """Return the polls of each run and the lags of all their tasks.

    Args:
        length: Of the longest run, in seconds; the shortest takes some three quarters of it.
        known: Whether there are earlier runs.
        start: The part of it that the cluster takes to start.
        tasks: How many notebooks share the rest, the first of which takes longest.
        queue: Seconds for which a run is queued first; they come on top.
        runs: How many of them.
    """
    chance = random.Random(length)
    calls, lags = [], []
    for _ in range(runs):
        job = length * chance.uniform(0.75, 0.95), start, tasks, queue
        before = [random_job(*job, chance).timings for _ in range(EARLIER)]
        earlier = {key: [each[key] for each in before] for key in before[0]} if known else {}
        polls, late = watch(random_job(*job, chance), earlier, chance)
        calls.append(polls)
        lags += late
    return calls, lags
