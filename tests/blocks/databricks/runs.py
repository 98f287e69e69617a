"""Job runs as values: a small history of attempts, built the way Databricks builds it."""

from __future__ import annotations

from dataclasses import replace

from blocks.databricks import HistoryItem, Outcome, RunState, Status, TaskAttempt

OK = Status(Outcome.SUCCEEDED, "TERMINATED", "SUCCESS", "SUCCESS", "SUCCESS")
VICTIM = Status(Outcome.UPSTREAM_FAILED, "SKIPPED", "UPSTREAM_FAILED", "SKIPPED")
RAISED = Status(
    Outcome.FAILED, "TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", "CLIENT_ERROR", "Workload failed"
)
CLOUD = Status(Outcome.FAILED, "INTERNAL_ERROR", "FAILED", "CLOUD_FAILURE", "CLOUD_FAILURE")
DENIED = Status(Outcome.FAILED, "INTERNAL_ERROR", "FAILED", "UNAUTHORIZED_ERROR", "CLIENT_ERROR")
CANCELLED = Status(Outcome.CANCELED, "TERMINATED", "CANCELED", "USER_CANCELED", "CLIENT_ERROR")
STRANGE = Status(Outcome.FAILED, "TERMINATED", "FAILED", "NEVER_SEEN", "CLOUD_FAILURE")


def failed_with(code: str, message: str = "") -> Status:
    return Status(Outcome.FAILED, "TERMINATED", "FAILED", code, "CLIENT_ERROR", message)


class Story:
    """A job run that goes on round by round.

    ``Story({"a": RAISED, "b": VICTIM}).repaired({"a": OK, "b": OK}).state`` is a run that needed
    one repair. A list of statuses stands for a task that Databricks itself tried again.
    """

    def __init__(self, first: dict[str, Status | list[Status]]) -> None:
        self.rounds: list[list[TaskAttempt]] = []
        self._numbers: dict[str, int] = {}
        self._next_run_id = 901
        self.repaired(first)

    def repaired(self, ends: dict[str, Status | list[Status]]) -> Story:
        attempts = []
        for key, given in ends.items():
            for status in given if isinstance(given, list) else [given]:
                number = self._numbers.get(key, 0)
                self._numbers[key] = number + 1
                attempts.append(TaskAttempt(key, self._next_run_id, number, status))
                self._next_run_id += 1
        self.rounds.append(attempts)
        return self

    @property
    def state(self) -> RunState:
        state = RunState(
            run_id=900,
            job_id=11,
            status=RAISED,
            attempts=tuple(attempt for each in self.rounds for attempt in each),
            history=tuple(
                HistoryItem(7000 + number if number else None, frozenset(a.run_id for a in each))
                for number, each in enumerate(self.rounds)
            ),
        )
        return state if state.unsuccessful else replace(state, status=OK)
