"""How long Databricks may go without an answer, and who is told about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from tenacity import RetryCallState

from blocks.databricks.errors import DatabricksError

# A single request that has to be sent again is nobody's concern.
_WORTH_TELLING_SECONDS = 5.0


def _tell_nobody(patience: Patience) -> None:
    pass


@dataclass
class Patience:
    """One clock for whatever Databricks is asked.

    It starts when a request gets no answer that is of use, stops when one does, and starts anew
    after it has run out. Requests within requests share it, so they do not add up; a process that
    goes on for another one continues its clock.

    Attributes:
        seconds: How long Databricks may go without an answer.
        since: From when on it has, in epoch seconds; None while it answers.
        tell: Called with this object when the clock has started, and when it has stopped.
        reason: What the last request without an answer met; empty while Databricks answers.
    """

    seconds: float = 600.0
    since: float | None = None
    tell: Callable[[Patience], None] = _tell_nobody
    reason: str = ""
    _told: bool = field(init=False)

    def __post_init__(self) -> None:
        """Know that what was noted before has been told."""
        self._told = self.since is not None

    def unanswered(self, reason: str) -> None:
        """Start the clock, if it does not run."""
        self.since = self.since or time.time()
        self.reason = reason

    def answered(self) -> None:
        """Stop the clock."""
        self.since = None
        self.reason = ""
        if self._told:
            self._told = False
            self.tell(self)

    def is_over(self, request: RetryCallState) -> bool:
        """Say whether a request is not worth another try.

        One that is refused again and again, while others in between are answered, has no more time
        than the clock.
        """
        return self._silent(request) + request.upcoming_sleep >= self.seconds

    def give_up(self, request: RetryCallState) -> NoReturn:
        """Raise the error of a request that is not worth another try, which says so."""
        error = request.outcome.exception() if request.outcome else None
        assert isinstance(error, DatabricksError)  # noqa: S101  # no others are tried again
        error.given_up = (
            f"Given up after {self._silent(request):.0f} s, as another try would come after the "
            f"{self.seconds:.0f} s that are allowed."
        )
        self.answered()
        raise error

    def before_another_try(self, request: RetryCallState) -> None:
        """Tell who wants to know, once and not at the first hiccup."""
        silent = self._silent(request) + request.upcoming_sleep
        if not self._told and silent >= _WORTH_TELLING_SECONDS:
            self._told = True
            self.tell(self)

    def _silent(self, request: RetryCallState) -> float:
        """Return for how long there has been no answer, in seconds."""
        lost = time.time() - self.since if self.since else 0.0
        return max(lost, request.seconds_since_start or 0.0)
