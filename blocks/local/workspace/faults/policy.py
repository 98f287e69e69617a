"""Which fault strikes: pure decisions over frozen values."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from blocks.local.workspace.faults.specs import Fault
from blocks.local.workspace.runs import Run


@dataclass(frozen=True)
class Armed:
    """A fault that was asked for.

    Attributes:
        number: Its id.
        fault: What was asked for.
        added: When, in epoch milliseconds.
        met: How often it could have struck.
        struck: How often it did.
    """

    number: int
    fault: Fault
    added: int
    met: int = 0
    struck: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not strike any more."""
        return self.fault.limit is not None and self.struck >= self.fault.limit


def strike(
    armed: Sequence[Armed], concerned: Callable[[Armed], bool]
) -> tuple[tuple[Armed, ...], Armed | None]:
    """Decide which fault strikes, if any: the oldest that is concerned and whose turn it is.

    Args:
        armed: Every fault, oldest first.
        concerned: Whether one could strike here.

    Returns:
        The faults with their new counts, and the one that strikes.
    """
    counted = list(armed)
    for index, item in enumerate(armed):
        if item.spent or not concerned(item):
            continue
        if _has_its_turn(item):
            counted[index] = replace(item, met=item.met + 1, struck=item.struck + 1)
            return tuple(counted), counted[index]
        counted[index] = replace(item, met=item.met + 1)
    return tuple(counted), None


def _has_its_turn(item: Armed) -> bool:
    if item.fault.probability is None:
        return True
    # Each draw depends on the seed and its position alone, not on what else was asked for.
    draw = random.Random(f"{item.fault.seed}/{item.met}").random()  # noqa: S311 (no secret)
    return draw < item.fault.probability


def repaired_since(run: Run, moment: int) -> bool:
    """Return whether the latest round of a run is a repair that was asked for since a moment."""
    return run.round.repair_id is not None and run.round.requested >= moment


def before_repair(run: Run) -> Run:
    """Return a repaired run as it read before its latest repair."""
    rounds = run.rounds[:-1]
    attempts = tuple(item for item in run.attempts if item.round < run.round.position)
    return replace(
        run,
        state=rounds[-1].state,
        ended=rounds[-1].ended,
        rounds=rounds,
        attempts=attempts,
        stop=None,
    )
