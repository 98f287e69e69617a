"""Makes new runs in the store; whoever asks for one wakes the engine afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from blocks.local.workspace import states
from blocks.local.workspace.clock import now
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.launch import admission, first_attempts, select_tasks
from blocks.local.workspace.runs import Attempt, Parameters, Round, Run, RunType
from blocks.local.workspace.specs import TaskSpec, task_specs
from blocks.local.workspace.states import LifeCycle, State
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.jobs import Job


class Starter:
    """Makes runs. Call it inside a transaction that also holds what the decision stands on.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def job_run(
        self,
        job: Job,
        parameters: Parameters,
        *,
        only: Sequence[str] = (),
        queue: bool | None = None,
        parent: int | None = None,
        unselected: State | None = None,
    ) -> Run:
        """Make a run of a saved job; it may be queued, or dropped at once.

        Args:
            job: The job.
            parameters: Of the request.
            only: See ``launch.select_tasks``.
            queue: What the request says about queueing; None if nothing.
            parent: The task run whose work it is.
            unselected: State of the tasks that ``only`` leaves out; None if the run has none.

        Raises:
            ApiError: The job has no tasks, or ``only`` names an unknown one.
        """
        tasks = task_specs(job.settings)
        keys = select_tasks(only, tasks)
        if not keys:
            raise invalid(f"Job {job.job_id} has no tasks to run.")
        state = self.admission(job, queue=queue)
        run = self._new_run(job.job_id, RunType.JOB_RUN, job.settings, state, parameters)
        queued = state.life_cycle is LifeCycle.QUEUED
        if state.terminal:
            return self._added(replace(run, parent=parent))
        attempts = first_attempts(keys, tasks, self._store.new_id, queued=queued)
        if unselected is not None:
            rest = [key for key in tasks if key not in keys]
            shown = first_attempts(rest, tasks, self._store.new_id)
            attempts += tuple(replace(item, state=unselected, ended=now()) for item in shown)
        return self._added(replace(run, attempts=attempts, parent=parent))

    def admission(self, job: Job, *, queue: bool | None = None) -> State:
        """Return the state in which a run or a repair of a job begins at this moment."""
        running = sum(not run.queued for run in self._store.runs.active(job.job_id))
        return admission(job.settings, running, queue=queue)

    def one_time_run(self, settings: Mapping[str, Any], *, single_task: bool) -> Run:
        """Make a one-time run.

        Args:
            settings: Like those of a job.
            single_task: Its one task run has the id of the run itself.
        """
        tasks = task_specs(settings)
        run = self._new_run(self._store.new_id(), RunType.SUBMIT_RUN, settings, states.PENDING)
        new_id = (lambda: run.run_id) if single_task else self._store.new_id
        return self._added(replace(run, attempts=first_attempts(tasks, tasks, new_id)))

    def iterations(self, attempt: Attempt, settings: Mapping[str, Any]) -> Run:
        """Make the run that holds the iterations of a for-each task.

        Args:
            attempt: The for-each task.
            settings: Its tasks are the iterations.
        """
        tasks = task_specs(settings)
        held = self._new_run(self._store.new_id(), RunType.FOR_EACH, settings, states.PENDING)
        attempts = first_attempts(tasks, tasks, self._store.new_id)
        return self._added(replace(held, attempts=attempts, parent=attempt.run_id))

    def notebook_run(self, attempt: Attempt, task: TaskSpec) -> Run:
        """Make the record of a notebook that another notebook has started and waits for."""
        settings = {"name": task.key, "tasks": [task.settings]}
        made = self._new_run(self._store.new_id(), RunType.WORKFLOW_RUN, settings, states.RUNNING)
        moment = made.started
        execution = Attempt(
            run_id=self._store.new_id(),
            task=task,
            number=0,
            round=0,
            state=states.RUNNING,
            started=moment,
            executing=moment,
            cluster_id=attempt.cluster_id,
        )
        return self._added(replace(made, attempts=(execution,), parent=attempt.run_id))

    def _new_run(
        self,
        job_id: int,
        run_type: RunType,
        settings: Mapping[str, Any],
        state: State,
        parameters: Parameters | None = None,
    ) -> Run:
        moment = now()
        ended = moment if state.terminal else 0
        given = parameters or Parameters()
        original = Round(0, None, state, settings, given, moment, moment, ended)
        return Run(
            run_id=self._store.new_id(),
            job_id=job_id,
            run_type=run_type,
            name=settings["name"],
            state=state,
            started=moment,
            ended=ended,
            rounds=(original,),
            attempts=(),
        )

    def _added(self, run: Run) -> Run:
        self._store.runs.add(run)
        return run
