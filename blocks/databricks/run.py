"""One run of a Databricks job, from launch to verdict."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from prefect.blocks.abstract import JobRun

from blocks.databricks.client import JobsClient
from blocks.databricks.cluster import ClusterChanges, change_clusters
from blocks.databricks.errors import (
    ApiError,
    DatabricksError,
    JobBusyError,
    RepairError,
    RunLostError,
    UnreachableError,
)
from blocks.databricks.polling import Timing, expected_ends, poll_delay, timing
from blocks.databricks.redaction import redact
from blocks.databricks.rounds import knows_repair, repair_is_visible
from blocks.databricks.state import Outcome, RunState, TaskAttempt, changes, parse_run

_REPAIR_BUDGET_SECONDS = 600.0
# How long the end of a run that was cancelled may take.
_END_SECONDS = 300.0
# How many looks, a second apart, may still show a run as it was before its repair.
_STALE_READS = 25
_ERROR_CHARACTERS = 2_000
_TRACE_LINES = 40
_TRACE_CHARACTERS = 20_000


@dataclass(frozen=True)
class Launch:
    """All that starts a job run. Sent again, even by another process, it gives the same run.

    Attributes:
        job_id: The saved job.
        settings: The job's settings as ``jobs/get`` shows them, with which the run starts.
        parameters: Values for the job's parameters.
        token: Idempotency token.
    """

    job_id: int
    settings: Mapping[str, Any]
    parameters: Mapping[str, str]
    token: str


@dataclass(frozen=True)
class TaskFailure:
    """Why one attempt failed, in the words of ``runs/get-output``.

    Attributes:
        attempt: The attempt that failed.
        error: The exception's last line, or the state's message where there was no exception.
        trace: The last lines of the trace, empty without one.
    """

    attempt: TaskAttempt
    error: str
    trace: str


class DatabricksRun(JobRun[dict[str, str]]):
    """A job run that can be watched, repaired and cancelled. Made by ``DatabricksJob.trigger``.

    Args:
        client: An entered client; the run closes it at the end of its ``with`` block.
        run_id: The run's id.
        parameters: The run's job parameters, which every repair sends again.
        sleep: Waits between two looks.

    Attributes:
        state: The run as last read.
    """

    def __init__(
        self,
        client: JobsClient,
        run_id: int,
        parameters: Mapping[str, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._parameters = dict(parameters)
        self._sleep = sleep
        self.run_id = run_id
        self.state: RunState = parse_run(client.get_run(run_id))
        # The newest repair that is known to be, whether or not the run shows it already.
        self._newest_repair = self.state.latest_repair_id
        self._seen: RunState | None = None
        self._started = time.monotonic()
        self._earlier: dict[str, list[Timing]] | None = None
        # A repair runs on a thread of its own, and must not be sent after a cancel.
        self._sending = threading.Lock()
        self._cancelled = False

    def __enter__(self) -> Self:
        """Return the run itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; the run on Databricks is left as it is."""
        self._client.__exit__(None, None, None)

    def skip_ended(self) -> None:
        """Let :meth:`watch` leave out what has ended by now, in a run that others have started."""
        self._started -= max(0.0, time.time() - self.state.start_time / 1000)
        ended = tuple(attempt for attempt in self.state.attempts if attempt.outcome.ended)
        self._seen = replace(self.state, attempts=ended)

    def refresh(self) -> RunState:
        """Read the run again, and return its newest state that is known."""
        read = parse_run(self._client.get_run(self.run_id))
        # A replica may be behind what is known already: no repair is ever taken back.
        if knows_repair(read, self._newest_repair):
            self.state, self._newest_repair = read, read.latest_repair_id
        return self.state

    @property
    def already_ended(self) -> tuple[TaskAttempt, ...]:
        """Attempts that :meth:`watch` leaves out, because they had ended before it began."""
        return self._seen.attempts if self._seen else ()

    def job_exists(self) -> bool:
        """Say whether the saved job is still there, without which nothing can be repaired."""
        try:
            self.job_settings()
        except ApiError as error:
            if error.missing:
                return False
            raise
        return True

    def job_settings(self) -> dict[str, Any]:
        """Return the saved job's settings as they are now, which a repair would use."""
        settings: dict[str, Any] = self._client.get_job(self.state.job_id)["settings"]
        return settings

    def change_parameters(self, changes: Mapping[str, str]) -> None:
        """Let later repairs use other values for some of the job's parameters."""
        self._parameters |= changes

    def change_cluster(self, changes: ClusterChanges) -> None:
        """Change the saved job's clusters, for a repair that is to run on other machines.

        Nothing is sent if they are so already, or if it has none. The next
        :meth:`DatabricksJob.trigger` puts the job back to what it is defined as.

        Raises:
            JobBusyError: Another run of the job is alive, whose repairs would be changed as well.
        """
        job_id = self.state.job_id
        before = self.job_settings()
        after = change_clusters(before, changes)
        if after == before:
            return
        if others := set(self._client.active_runs(job_id)) - {self.run_id}:
            raise JobBusyError(
                f"The clusters of job {job_id} are left as they are: run {min(others)} of the same "
                "job is alive."
            )
        self._client.reset_job(job_id, after)

    def watch(self, until: float = math.inf) -> Iterator[TaskAttempt]:
        """Yield every attempt whose outcome changed, until the run has ended.

        The first look yields all attempts there are. Called again after a :meth:`repair`, it
        yields what is new since.

        Args:
            until: When to stop looking, in epoch seconds; the run is still alive then.

        Raises:
            ApiError: Databricks refused to show the run.
            UnreachableError: It could not be reached within the client's budget.
        """
        # Reckoned from look to look, so that a slow answer does not make looks rarer.
        began = looked = time.monotonic()
        polls = 0
        while True:
            fresh = changes(self._seen, self.state)
            self._seen = self.state
            yield from fresh
            left = until - time.time()
            if self.state.outcome.ended or left <= 0:
                return
            delay = poll_delay(
                elapsed=looked - began,
                polls=polls,
                jitter=random.uniform(-1, 1),  # noqa: S311  # no secret
                ends=expected_ends(self.state, self._earlier_timings(), looked - self._started),
            )
            self._sleep(max(0.0, min(looked + delay - time.monotonic(), left)))
            looked = time.monotonic()
            self.refresh()
            polls += 1

    def _earlier_timings(self) -> Mapping[str, list[Timing]]:
        """Return how long tasks took in the job's latest runs, by task key, newest last."""
        if self._earlier is None:
            timings: dict[str, list[Timing]] = {}
            self._earlier = timings
            # They only help to look at the right moment, so nothing waits for them.
            with suppress(DatabricksError):
                for payload in reversed(self._client.finished_runs(self.state.job_id)):
                    for attempt in parse_run(payload).attempts:
                        if attempt.outcome is Outcome.SUCCEEDED:
                            timings.setdefault(attempt.task_key, []).append(timing(attempt))
        return self._earlier

    def repair(self, task_keys: Sequence[str], latest_repair_id: int | None) -> int:
        """Run tasks again, and return when Databricks shows that they do.

        ``runs/repair`` has no idempotency token, so an answer that was lost is looked up in the
        run's history before anything is sent again; quoting the latest repair makes the server
        refuse the second of two.

        Args:
            task_keys: The tasks to run again, each once.
            latest_repair_id: The repair before this one, None for the first.

        Returns:
            The id of the repair.

        Raises:
            RepairError: Databricks refused it, or never showed it.
        """
        give_up = time.monotonic() + _REPAIR_BUDGET_SECONDS
        send = self._client.retrying()
        try:
            repair_id: int = send(self._send_repair, task_keys, latest_repair_id)
        except (ApiError, UnreachableError) as error:
            raise RepairError(
                f"Run {self.run_id} could not be repaired. {error} See {self.state.run_page_url}"
            ) from error
        self._newest_repair = repair_id
        while not repair_is_visible(self.refresh(), repair_id):
            if time.monotonic() > give_up:
                raise RepairError(
                    f"Repair {repair_id} was accepted but does not show up in run {self.run_id}. "
                    f"See {self.state.run_page_url}"
                )
            self._sleep(1.0)
        return repair_id

    def _send_repair(self, task_keys: Sequence[str], latest_repair_id: int | None) -> int:
        """Send a repair, and return its id, or that of one which turns out to have come before."""
        try:
            with self._sending:
                if self._cancelled:
                    raise RepairError(f"Run {self.run_id} was cancelled before its repair.")
                # A run of others may have been started with the older slots, which exclude these.
                parameters = self.state.overriding_parameters or {
                    "job_parameters": self._parameters
                }
                return self._client.repair_run(self.run_id, task_keys, latest_repair_id, parameters)
        except (ApiError, UnreachableError) as error:
            # Told to slow down, there is nothing to look for, and no request to add.
            if isinstance(error, ApiError) and error.throttled:
                raise
            # A 400 may mean that a repair has come before, which may not show at once.
            refused = isinstance(error, ApiError) and error.status == 400
            looks = _STALE_READS if refused and not error.transient else 1
            repair_id = self._repair_since(latest_repair_id, looks)
            if repair_id is None:
                raise
            return repair_id

    def _repair_since(self, latest_repair_id: int | None, looks: int) -> int | None:
        """Return the repair after the latest one that is known; None when it does not show.

        A repair is also refused because one before it, of which the answer was lost or which a
        process sent that was killed, has made the run alive, and that may not show at once.
        """
        for look in range(looks):
            if look:
                self._sleep(1.0)
            newest = self.refresh().latest_repair_id
            if newest != latest_repair_id:
                return newest
        return None

    def cancel(self) -> None:
        """Cancel the run and return when Databricks says that it has ended.

        Raises:
            RunLostError: It is still alive after five minutes.
        """
        self._cancelled = True
        repairing = self._sending.locked()
        # A run that has ended takes this without harm, and one that only seems to have ended,
        # because its repair does not show yet, needs it.
        self._client.cancel_run(self.run_id)
        if repairing:
            # Its answer may take longer than this process has, and it may come after the cancel.
            with self._sending:
                self._client.cancel_run(self.run_id)
        if not self._ends_soon():
            raise RunLostError(
                f"Run {self.run_id} was cancelled but is still alive; end it by hand: "
                f"{self.state.run_page_url}"
            )

    def settle(self) -> None:
        """Wait for the end of a run that is on its way there, such as one that was cancelled."""
        if self.state.status.ending:
            self._ends_soon()

    def _ends_soon(self) -> bool:
        give_up = time.monotonic() + _END_SECONDS
        while not (self.refresh().outcome.ended and knows_repair(self.state, self._newest_repair)):
            if time.monotonic() > give_up:
                return False
            self._sleep(0.5)
        return True

    def failure(self, attempt: TaskAttempt) -> TaskFailure:
        """Ask why an attempt failed, without any secret in the answer.

        Outputs belong to attempts; the run as a whole has none.
        """
        output = self._output(attempt)
        error = str(output.get("error") or attempt.status.message or attempt.outcome.value)
        trace = str(output.get("error_trace") or "")
        secrets = self._client.secrets
        # Twice as much is looked through as is kept, so that no half of a secret stays at the cut.
        shown = redact(error.strip()[: 2 * _ERROR_CHARACTERS], secrets)[:_ERROR_CHARACTERS]
        end = redact(trace[-2 * _TRACE_CHARACTERS :], secrets)[-_TRACE_CHARACTERS:]
        return TaskFailure(attempt, shown, "\n".join(end.splitlines()[-_TRACE_LINES:]))

    def _output(self, attempt: TaskAttempt) -> dict[str, Any]:
        # An attempt that never started has no output; its state says why.
        if not attempt.start_time:
            return {}
        try:
            return self._client.get_output(attempt.run_id)
        except ApiError as error:
            # Not every kind of task has one, and what failed has to be known all the same.
            if error.transient:
                raise
            return {}

    def wait_for_completion(self) -> None:  # type: ignore[override]  # synchronous, as flows are
        """Wait until the run has ended."""
        for _ in self.watch():
            pass

    def fetch_result(self) -> dict[str, str]:  # type: ignore[override]  # synchronous, as flows are
        """Return what each notebook gave to ``dbutils.notebook.exit``, by task key."""
        results = {}
        for key, attempt in self.state.current.items():
            if attempt.outcome is Outcome.SUCCEEDED:
                output = self._client.get_output(attempt.run_id).get("notebook_output") or {}
                if "result" in output:
                    results[key] = str(output["result"])
        return results
