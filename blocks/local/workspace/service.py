"""What can be done with runs: start, repair, cancel and delete them, each in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blocks.local.workspace import states
from blocks.local.workspace.clock import now
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import ApiError, invalid, missing, no_job, no_run
from blocks.local.workspace.launch import first_attempts
from blocks.local.workspace.repair import (
    RepairChoice,
    check_latest_repair,
    check_repairable,
    tasks_to_rerun,
)
from blocks.local.workspace.runs import Parameters, Round, Run, RunType, Stop
from blocks.local.workspace.specs import task_specs
from blocks.local.workspace.starter import Starter
from blocks.local.workspace.states import State
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.jobs import Job
from blocks.local.workspace.switches import Switches
from blocks.local.workspace.tokens import IdempotencyTokens


class RunService:
    """Starts and changes runs.

    Args:
        store: Where they are kept.
        engine: What runs them.
        switches: Rules that the cloud leaves open.
    """

    def __init__(self, store: Store, engine: Engine, switches: Switches) -> None:
        self._store = store
        self._starter = Starter(store)
        self._tokens = IdempotencyTokens(store, switches)
        self._engine = engine
        self._switches = switches

    def run_now(
        self,
        job_id: int,
        parameters: Parameters,
        *,
        only: tuple[str, ...] = (),
        queue: bool | None = None,
        token: str | None = None,
    ) -> int:
        """Start a run of a saved job and return its id.

        Raises:
            ApiError: No such job, an unknown task in ``only``, or a token of a deleted run.
        """
        with self._store.transaction():
            if (known := self._tokens.run_id(token, job_id)) is not None:
                return known
            run = self._starter.job_run(
                self.job(job_id),
                parameters,
                only=only,
                queue=queue,
                unselected=states.UNSELECTED.get(self._switches.unselected_tasks),
            )
            self._tokens.reserve(token, job_id, run.run_id)
        self._engine.wake(run.run_id)
        return run.run_id

    def submit(
        self, settings: Mapping[str, Any], *, single_task: bool = False, token: str | None = None
    ) -> int:
        """Start a one-time run and return its id.

        Args:
            settings: Like those of a job.
            single_task: The request had the old shape, without ``tasks``: the one task run then
                has the id of the run itself.
            token: Idempotency token.

        Raises:
            ApiError: The token is that of a deleted run.
        """
        with self._store.transaction():
            if (known := self._tokens.run_id(token, None)) is not None:
                return known
            run = self._starter.one_time_run(settings, single_task=single_task)
            self._tokens.reserve(token, None, run.run_id)
        self._engine.wake(run.run_id)
        return run.run_id

    def repair(self, run_id: int, choice: RepairChoice, parameters: Parameters) -> int:
        """Run tasks of a finished run again, with the job's current settings.

        The run reads as not finished from the moment that this returns.

        Returns:
            The id of the repair.

        Raises:
            ApiError: The run cannot be repaired, or not so.
        """
        with self._store.transaction():
            run = self.run(run_id)
            if not run.state.terminal:
                raise self._active(f"Run {run_id} cannot be repaired while it is in progress.")
            settings, state = self._repair_settings(run)
            check_latest_repair(choice.latest_repair_id, run.round.repair_id)
            tasks = task_specs(settings)
            check_repairable(len(run.rounds) - 1, tasks, self._switches)
            results = {
                key: attempt.state.result
                for key, attempt in run.latest.items()
                if attempt.state.result is not None
            }
            keys = tasks_to_rerun(choice, results, tasks, self._switches)
            if self._switches.repair_inherits_parameters:
                parameters = _inherited(run.round.parameters, parameters)
            repair_id, moment = self._store.new_id(), now()
            item = Round(
                position=run.round.position + 1,
                repair_id=repair_id,
                state=state,
                settings=settings,
                parameters=parameters,
                requested=moment,
                started=moment,
                ended=moment if state.terminal else 0,
            )
            attempts = (
                ()
                if state.terminal
                else first_attempts(
                    keys,
                    tasks,
                    self._store.new_id,
                    previous=run.latest,
                    position=item.position,
                    queued=state.life_cycle is states.LifeCycle.QUEUED,
                    enabled=frozenset(choice.rerun_tasks),
                )
            )
            self._store.runs.add_round(run_id, item)
            self._store.runs.add_attempts(run_id, attempts)
            self._store.runs.change(
                replace(run, state=state, stop=None, ended=item.ended, rounds=(*run.rounds, item))
            )
        self._engine.wake(run_id)
        return repair_id

    def cancel(self, run_id: int) -> None:
        """Begin to cancel a run, or one of its task runs; one that has ended stays as it is.

        Raises:
            ApiError: There is no such run.
        """
        with self._store.transaction():
            run = self.run_or_owner(run_id)
            if run.state.terminal:
                return
            if run.run_id == run_id:
                self._cancel(run)
            else:
                attempt = run.attempt(run_id)
                if not attempt.state.terminal and attempt.stop is None:
                    self._store.runs.change_attempt(replace(attempt, stop=Stop.CANCEL))
        self._engine.wake(run.run_id)

    def cancel_all(self, job_id: int | None, *, queued_only: bool = False) -> None:
        """Begin to cancel the active runs of a job or of the workspace; all, or the queued ones."""
        with self._store.transaction():
            active = self._store.runs.active(job_id)
            runs = [run for run in active if run.queued or not queued_only]
            for run in runs:
                self._cancel(run)
        for run in runs:
            self._engine.wake(run.run_id)

    def delete(self, run_id: int) -> None:
        """Remove a run that has ended.

        Raises:
            ApiError: There is no such run, or it is active.
        """
        with self._store.transaction():
            if not self.run(run_id).state.terminal:
                raise self._active(f"Run {run_id} is active and cannot be deleted; cancel it.")
            self._store.runs.delete(run_id)

    def job_changed(self, job: Job) -> None:
        """Apply what an edit of a job changes for its active runs: time-out and free places."""
        with self._store.transaction():
            runs = self._store.runs.active(job.job_id)
            for run in runs:
                timeout = job.settings["timeout_seconds"]
                settings = {**run.round.settings, "timeout_seconds": timeout}
                current = replace(run.round, settings=settings)
                self._store.runs.change(replace(run, rounds=(*run.rounds[:-1], current)))
        self._engine.start_queued(job.job_id)
        for run in runs:
            self._engine.wake(run.run_id)

    def job_deleted(self, job_id: int) -> None:
        """Do with the runs of a deleted job what the switches say."""
        if self._switches.deleting_a_job_cancels_its_runs:
            self.cancel_all(job_id)
        if self._switches.deleting_a_job_deletes_its_runs:
            self._store.runs.delete_finished(job_id)

    def job(self, job_id: int) -> Job:
        """Return a job.

        Raises:
            ApiError: There is no such job.
        """
        job = self._store.jobs.get(job_id)
        if job is None:
            raise no_job(job_id)
        return job

    def run(self, run_id: int) -> Run:
        """Return a run by its own id.

        Raises:
            ApiError: There is no such run.
        """
        run = self._store.runs.get(run_id)
        if run is None:
            raise self._no_run(run_id)
        return run

    def run_or_owner(self, run_id: int) -> Run:
        """Return a run by its own id or by that of one of its task runs.

        Raises:
            ApiError: There is no such run.
        """
        run = self._store.runs.get(run_id)
        if run is not None:
            return run
        owner = self._store.runs.owner(run_id)
        if owner is None:
            raise self._no_run(run_id)
        return self.run(owner)

    def _repair_settings(self, run: Run) -> tuple[Mapping[str, Any], State]:
        if run.run_type is RunType.JOB_RUN:
            job = self.job(run.job_id)
            return job.settings, self._starter.admission(job)
        if self._switches.repair_of_submitted_runs:
            return run.round.settings, states.PENDING
        raise invalid(f"Run {run.run_id} was submitted once and is no run of a job: no repair.")

    def _active(self, message: str) -> ApiError:
        return ApiError(400, self._switches.active_run_error_code, message)

    def _no_run(self, run_id: int) -> ApiError:
        refused = no_run(run_id)
        return refused if self._switches.unknown_run_status == "400" else missing(refused.message)

    def _cancel(self, run: Run) -> None:
        if run.stop is None:
            self._store.runs.change(replace(run, stop=Stop.CANCEL))


def _inherited(old: Parameters, new: Parameters) -> Parameters:
    return Parameters({**old.job, **new.job}, {**old.overriding, **new.overriding})
