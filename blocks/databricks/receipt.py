"""What the repairs of a job run cost, and what they saved against full re-runs. All pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate, pairwise

from blocks.databricks.rounds import latest_attempts, split_rounds
from blocks.databricks.state import Outcome, RunState, TaskAttempt

# What `RoundReceipt.times` are, in their order.
_TIMES = ("Start-up", "Took", "Full re-run", "Saved")


@dataclass(frozen=True)
class RoundReceipt:
    """One repair, or the original run.

    The job cluster is paid for as long as it is alive, so both sides of the comparison are lengths
    of the critical path: the longest chain of tasks over ``depends_on``. A full re-run would need a
    new cluster just as the repair did. The same start-up is therefore part of both, and the
    start-up that the reused tasks had in their own round is never counted as saved.

    Attributes:
        repair_id: None for the original run.
        ran: Attempts of this round, Databricks' own retries among them.
        reused: Attempts of earlier rounds whose success was kept.
    """

    repair_id: int | None
    ran: tuple[TaskAttempt, ...]
    reused: tuple[TaskAttempt, ...]

    @property
    def task_seconds(self) -> float:
        """Seconds of all attempts of this round together."""
        return sum(attempt.seconds for attempt in self.ran)

    @property
    def startup_seconds(self) -> float:
        """Seconds until the round's cluster was there: the longest set-up of its attempts."""
        return max((attempt.setup_ms for attempt in self.ran), default=0) / 1000

    @cached_property
    def elapsed_seconds(self) -> float:
        """What this round took: start-up, then the critical path of what ran."""
        return self.startup_seconds + _critical_path(self.ran, ())

    @cached_property
    def full_seconds(self) -> float:
        """What running every task again would have taken: start-up, then the critical path."""
        return self.startup_seconds + _critical_path(self.ran, self.reused)

    @property
    def saved_seconds(self) -> float:
        """What the repair saved against a full re-run; never negative."""
        return self.full_seconds - self.elapsed_seconds

    @property
    def times(self) -> tuple[float, float, float, float]:
        """Start-up, what the round took, a full re-run, and what was saved: all in seconds."""
        return self.startup_seconds, self.elapsed_seconds, self.full_seconds, self.saved_seconds


@dataclass(frozen=True)
class Receipt:
    """The account of a job run: its original round and its repairs.

    Attributes:
        run_id: The job run.
        original: The run before any repair.
        repairs: Each repair, oldest first.
        price_per_hour: What an hour of the job cluster costs, in any currency; 0 when not known.
    """

    run_id: int
    original: RoundReceipt
    repairs: tuple[RoundReceipt, ...]
    price_per_hour: float = 0.0

    @property
    def task_seconds(self) -> float:
        """Seconds of all attempts of the run together."""
        return self.original.task_seconds + sum(each.task_seconds for each in self.repairs)

    @property
    def saved_seconds(self) -> float:
        """What all repairs saved together."""
        return sum(each.saved_seconds for each in self.repairs)

    @property
    def saved_money(self) -> float:
        """What all repairs saved, in the currency of the price."""
        return self._price(self.saved_seconds)

    def as_sentence(self) -> str:
        """Return all of it in one line, for a log."""
        repairs = "; ".join(
            f"repair {number} ran {_tasks(each.ran)} again and reused {_tasks(each.reused)}"
            for number, each in enumerate(self.repairs, 1)
        )
        startup = sum(each.startup_seconds for each in self.repairs)
        price = self.price_per_hour
        money = f", or {self.saved_money:,.2f} at {price:g} an hour," if price else ""
        return (
            f"Run {self.run_id}: {repairs or 'no repair'}. Saved "
            f"{_seconds(self.saved_seconds)}{money} against full re-runs, which would have taken "
            f"{_seconds(startup)} to start clusters as well."
        )

    def as_markdown(self) -> str:
        """Return a table with one column for each repair, and one for their sum.

        Facts are rows, so that the table of a repair or two fits on a phone. All figures add up as
        they are shown.
        """
        if not self.repairs:
            return f"Run {self.run_id} was not repaired.\n"
        columns = len(self.repairs) + 1
        again = sum(each.task_seconds for each in self.repairs)
        reused = sum(attempt.seconds for each in self.repairs for attempt in each.reused)
        rows = [
            ["", *(f"Repair {number}" for number in range(1, columns)), "Sum"],
            ["---", *["---:"] * columns],
            ["Run again", *(_tasks(each.ran) for each in self.repairs), _sum(again)],
            ["Reused", *(_tasks(each.reused) for each in self.repairs), _sum(reused)],
        ]
        times = zip(*(each.times for each in self.repairs), strict=True)
        for name, values in zip(_TIMES, times, strict=True):
            rows.append([name, *map(_seconds, values), _sum(sum(values))])
        if self.price_per_hour:
            totals = accumulate((each.saved_seconds for each in self.repairs), initial=0.0)
            cents = [round(100 * self._price(total)) for total in totals]
            saved = [f"{(after - before) / 100:,.2f}" for before, after in pairwise(cents)]
            rows.append(["Money saved", *saved, f"**{cents[-1] / 100:,.2f}**"])
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        price = f" An hour costs {self.price_per_hour:g}." if self.price_per_hour else ""
        return (
            f"{table}\n\nTimes are critical paths over `depends_on`. A full re-run would have "
            "needed a new cluster as well, so the start-up is part of both and saves nothing."
            f"{price} All attempts of run {self.run_id} together: "
            f"{_seconds(self.task_seconds)}, of which {_seconds(again)} in repairs.\n"
        )

    def _price(self, seconds: float) -> float:
        return seconds / 3600 * self.price_per_hour


def make_receipt(state: RunState, price_per_hour: float = 0.0) -> Receipt:
    """Write the receipt of a run.

    Args:
        state: The run, read with its repair history.
        price_per_hour: What an hour of the job cluster costs, in any currency; 0 when not known.
    """
    rounds = split_rounds(state)
    receipts = []
    for number, each in enumerate(rounds):
        again = {attempt.task_key for attempt in each.attempts}
        before = latest_attempts(rounds[:number])
        reused = (a for key, a in sorted(before.items()) if key not in again and a.outcome.ok)
        receipts.append(RoundReceipt(each.repair_id, each.attempts, tuple(reused)))
    return Receipt(state.run_id, receipts[0], tuple(receipts[1:]), price_per_hour)


def _critical_path(ran: Iterable[TaskAttempt], reused: Iterable[TaskAttempt]) -> float:
    """Return the seconds of the longest chain of tasks, without the set-up of their cluster."""
    # Databricks' own retries of a task run one after the other.
    work = Counter[str]()
    for attempt in (*ran, *reused):
        work[attempt.task_key] += attempt.execution_ms + attempt.cleanup_ms
    upstream = _upstream(ran, reused)
    ends = dict(work)
    for key in TopologicalSorter(upstream).static_order():
        ends[key] = work[key] + max((ends[other] for other in upstream.get(key, ())), default=0)
    return max(ends.values(), default=0) / 1000


def _upstream(
    ran: Iterable[TaskAttempt], reused: Iterable[TaskAttempt]
) -> Mapping[str, tuple[str, ...]]:
    """Return what each task waits for, without any circle.

    The job may have been edited between a run and its repair, and its tasks turned round: then
    only what ran last tells how the job is.
    """
    for attempts in ((*reused, *ran), tuple(ran)):
        upstream = {attempt.task_key: attempt.depends_on for attempt in attempts}
        try:
            TopologicalSorter(upstream).prepare()
        except CycleError:
            continue
        return upstream
    return {}


def _tasks(attempts: Iterable[TaskAttempt]) -> str:
    shown = [
        f"{attempt.task_key} {_seconds(attempt.seconds)}"
        + ("" if attempt.outcome is Outcome.SUCCEEDED else f" ({attempt.outcome.value})")
        for attempt in attempts
    ]
    return ", ".join(shown) or "nothing"


def _seconds(seconds: float) -> str:
    # Databricks counts in milliseconds: with all of them, whatever is shown adds up.
    return f"{seconds:,.3f} s"


def _sum(seconds: float) -> str:
    return f"**{_seconds(seconds)}**"
