"""Carries out what the planner decides: starts, stops, retries and ends tasks and runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from blocks.local.workspace import plan, states
from blocks.local.workspace.clock import now
from blocks.local.workspace.clusters import ClusterKey, ClusterPool
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.execution import Execution, Services
from blocks.local.workspace.executor import Executor
from blocks.local.workspace.faults.effects import Moment, TaskEnding
from blocks.local.workspace.faults.tasks import DueFault, TaskFaults
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.installing import ClusterLibraries
from blocks.local.workspace.launch import admission
from blocks.local.workspace.nested import NestedRuns
from blocks.local.workspace.options import Options
from blocks.local.workspace.overlay import Pip
from blocks.local.workspace.planner import Planner
from blocks.local.workspace.runs import Attempt, Run, RunType, Stop
from blocks.local.workspace.states import LifeCycle, Result, State
from blocks.local.workspace.store import Store
from blocks.local.workspace.switches import Switches

Effect = Callable[[], None]


class Engine:
    """Runs the runs that are in the store.

    One thread plans: it wakes when a run changes or when a time-out or retry is due, asks
    ``plan.next_steps`` and carries the steps out. Each task that is being executed has a thread of
    its own. Whatever is decided is in the store before it is done, so that a new engine on the
    same store goes on where a killed one was; tasks that were being executed have then lost their
    driver.

    Args:
        store: What to run, and where results go.
        executor: Makes clusters and notebook processes.
        identity: Of the workspace.
        pip: Installs libraries; None to record them only.
        due_fault: Says how an attempt to run a task must end.
        options: How tasks are executed.
        switches: Rules that the cloud leaves open.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        identity: Identity,
        *,
        pip: Pip | None = None,
        due_fault: DueFault = lambda _task_keys: None,
        options: Options | None = None,
        switches: Switches | None = None,
    ) -> None:
        self._store = store
        self._executor = executor
        options = options or Options()
        self._switches = switches or Switches()
        self._nested = NestedRuns(store, identity)
        self._clusters = ClusterPool(
            executor.start_cluster,
            lambda: ClusterLibraries(store, pip),
            options.cluster_start_seconds,
        )
        slots = threading.Semaphore(options.parallel_notebooks)
        self._services = Services(store, executor, self._clusters, identity, pip, options, slots)
        self._faults = TaskFaults(due_fault)
        self._executions: dict[int, Execution] = {}
        self._planner = Planner(self._advance)

    def start(self) -> None:
        """Take up what an engine before left, and begin to plan."""
        active = self._store.runs.active()
        for run in active:
            for attempt in run.attempts:
                if attempt.state.life_cycle in plan.EXECUTING:
                    self._take_up(run, attempt)
            self.wake(run.run_id)
        for job_id in {run.job_id for run in active if run.queued}:
            self.start_queued(job_id)
        self._planner.start()

    def _take_up(self, run: Run, attempt: Attempt) -> None:
        child = self._store.runs.child(attempt.run_id)
        if child is None or not attempt.task.kind.starts_a_run:
            self._ended(run.run_id, attempt.run_id, states.DRIVER_LOST)
        elif child.state.terminal:
            self._ended(run.run_id, attempt.run_id, states.of_started_run(child.state))
        elif attempt.stop is not None:
            self._stop(attempt.run_id)

    def close(self) -> None:
        """Stop planning, end every process and cluster. What was running has lost its driver."""
        self._planner.close()
        executions = list(self._executions.values())
        for execution in executions:
            execution.kill()
        for execution in executions:
            execution.join(timeout=5)
        self._clusters.close()

    def prepare(self) -> None:
        """Get ready to run notebooks, because somebody is about to ask for it."""
        self._executor.prepare()

    @property
    def pool(self) -> ClusterPool:
        """The clusters that are up, and what starts them."""
        return self._clusters

    def wake(self, run_id: int) -> None:
        """Plan a run anew, because something about it changed."""
        self._planner.wake(run_id)

    def _advance(self, run_id: int) -> int | None:
        """Carry out steps until there is nothing to do in a run but wait; return until when."""
        while True:
            with self._store.transaction():
                run = self._store.runs.get(run_id)
                if run is None or run.state.terminal:
                    return None
                steps = plan.next_steps(run, now())
                effects = [self._apply(run, step) for step in steps]
            for effect in effects:
                effect()
            if not steps:
                return plan.next_deadline(run)

    def _apply(self, run: Run, step: plan.Step) -> Effect:
        """Store what a step changes and return what is left to do once that is stored."""
        runs = self._store.runs
        match step:
            case plan.StartTask(attempt):
                started = replace(attempt, state=states.PENDING, started=now())
                runs.change_attempt(started)
                return partial(self._execute, run, started)
            case plan.EndTask(attempt, state):
                if state.result is Result.UPSTREAM_FAILED:
                    life_cycle = LifeCycle(self._switches.upstream_failed_life_cycle)
                    state = replace(state, life_cycle=life_cycle)
                runs.change_attempt(replace(attempt, state=state, ending=None, ended=now()))
            case plan.RetryTask(attempt):
                runs.change_attempt(
                    replace(attempt, state=attempt.ending or attempt.state, ending=None)
                )
                again = Attempt(
                    run_id=self._store.new_id(),
                    task=attempt.task,
                    number=attempt.number + 1,
                    round=attempt.round,
                    state=states.BLOCKED,
                )
                runs.add_attempts(run.run_id, [again])
            case plan.StopTask(attempt, reason):
                runs.change_attempt(replace(attempt, state=states.STOPPING, stop=reason))
                return partial(self._stop, attempt.run_id)
            case plan.StopRun(reason):
                runs.change(replace(run, stop=reason))
            case plan.SetRun(state):
                return self._set_run(run, state)
        return _nothing

    def _set_run(self, run: Run, state: State) -> Effect:
        ended = now() if state.terminal else 0
        current = replace(run.round, state=state, ended=ended)
        self._store.runs.change(
            replace(run, state=state, ended=ended, rounds=(*run.rounds[:-1], current))
        )
        return partial(self._after_run, run, state) if state.terminal else _nothing

    def _after_run(self, run: Run, state: State) -> None:
        self._clusters.release(run.run_id)
        self._faults.forget(run.run_id)
        if run.parent is not None:
            self._after_nested_run(run.parent, state)
        if run.run_type is RunType.JOB_RUN:
            self.start_queued(run.job_id)

    def _after_nested_run(self, task_run_id: int, state: State) -> None:
        owner = self._store.runs.owner(task_run_id)
        run = None if owner is None else self._store.runs.get(owner)
        if run is None:
            return
        attempt = run.attempt(task_run_id)
        # A notebook goes on after one that it ran; a task that has ended has nothing to learn.
        if attempt.task.kind.starts_a_run and not attempt.state.terminal:
            self._ended(run.run_id, task_run_id, states.of_started_run(state))

    def start_queued(self, job_id: int) -> None:
        """Let queued runs of a job begin, oldest first, as far as its limit allows."""
        with self._store.transaction():
            active = self._store.runs.active(job_id)
            running = sum(not run.queued for run in active)
            job = self._store.jobs.get(job_id)
            for run in (run for run in active if run.queued and run.stop is None):
                settings = run.round.settings if job is None else job.settings
                if admission(settings, running) != states.PENDING:
                    return
                self._dequeue(run)
                running += 1
                self.wake(run.run_id)

    def _dequeue(self, run: Run) -> None:
        current = replace(run.round, state=states.PENDING, started=now())
        self._store.runs.change(
            replace(run, state=states.PENDING, rounds=(*run.rounds[:-1], current))
        )
        for attempt in run.attempts:
            if attempt.state.life_cycle is LifeCycle.QUEUED:
                self._store.runs.change_attempt(replace(attempt, state=states.BLOCKED))

    def _execute(self, run: Run, attempt: Attempt) -> None:
        fault = self._faults.of(run, attempt)
        if attempt.task.kind.starts_a_run:
            self._execute_nested(run, attempt, fault)
            return
        execution = Execution(
            self._services,
            *self._nested.home(run, attempt),
            fault,
            on_running=partial(self._running, run.run_id, attempt.run_id),
            on_ended=partial(self._ended, run.run_id, attempt.run_id),
            on_cluster_lost=self.lose_cluster,
        )
        self._executions[attempt.run_id] = execution
        execution.start()

    def _execute_nested(self, run: Run, attempt: Attempt, fault: TaskEnding | None) -> None:
        if fault is not None and fault.moment is not Moment.RUNNING:
            if fault.moment is Moment.STARTING:
                self._running(run.run_id, attempt.run_id, None)
            if fault.outcome is not None:
                self._store.outputs.save(attempt.run_id, fault.outcome)
            self._ended(run.run_id, attempt.run_id, fault.state)
            return
        try:
            nested = self._nested.start(*self._nested.home(run, attempt))
        except (ApiError, ValueError) as error:
            state = states.invalid_configuration(str(error))
            self._ended(run.run_id, attempt.run_id, state)
            return
        if fault is not None:
            self._faults.pass_on(fault, nested.run_id)
        self._running(run.run_id, attempt.run_id, None)
        if nested.state.terminal:
            self._after_nested_run(attempt.run_id, nested.state)
        self.wake(nested.run_id)

    def _stop(self, task_run_id: int) -> None:
        execution = self._executions.get(task_run_id)
        if execution is not None:
            execution.stop()
        elif (nested := self._store.runs.child(task_run_id)) and not nested.state.terminal:
            self._store.runs.change(replace(nested, stop=Stop.CANCEL))
            self.wake(nested.run_id)

    def lose_cluster(self, key: ClusterKey, state: State) -> None:
        """Stop a cluster; what is running on it ends in ``state``."""
        for execution in list(self._executions.values()):
            if execution.cluster == key:
                execution.lose(state)
        self._clusters.lose(key)

    def _running(self, run_id: int, task_run_id: int, cluster_id: str | None) -> None:
        with self._store.transaction():
            run = self._store.runs.get(run_id)
            if run is None:
                return
            attempt = run.attempt(task_run_id)
            pending = attempt.state.life_cycle is LifeCycle.PENDING
            state = states.RUNNING if pending else attempt.state
            self._store.runs.change_attempt(
                replace(attempt, state=state, executing=now(), cluster_id=cluster_id)
            )
        self.wake(run_id)

    def _ended(self, run_id: int, task_run_id: int, ending: State) -> None:
        with self._store.transaction():
            run = self._store.runs.get(run_id)
            if run is None:
                return
            attempt = plan.after_execution(run, run.attempt(task_run_id), ending)
            self._store.runs.change_attempt(replace(attempt, ended=now()))
        self._executions.pop(task_run_id, None)
        self.wake(run_id)


def _nothing() -> None:
    """Be the effect of a step that is done once it is stored."""
