"""The planner ends every run, in order and with the right result, whatever its tasks do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace import plan, states
from blocks.local.workspace.conditions import verdict
from blocks.local.workspace.runs import Attempt, Parameters, Round, Run, RunType, Stop
from blocks.local.workspace.specs import RunIf, TaskSpec
from blocks.local.workspace.states import LifeCycle, Result, State

ENDINGS = {
    "ok": states.SUCCEEDED,
    "fail": states.WORKLOAD_FAILED,
    "lost": states.DRIVER_LOST,
}


def new_run(tasks: Mapping[str, TaskSpec], timeout: int = 0) -> Run:
    attempts = tuple(
        Attempt(number, spec, 0, 0, states.BLOCKED)
        for number, spec in enumerate(tasks.values(), start=100)
    )
    settings = {"timeout_seconds": timeout}
    original = Round(0, None, states.PENDING, settings, Parameters(), 0, 0)
    return Run(1, 2, RunType.JOB_RUN, "r", states.PENDING, 0, 0, (original,), attempts)


class Simulation:
    """Carries out steps on values, without an engine."""

    def __init__(self, run: Run, outcomes: Mapping[str, list[str]]) -> None:
        self.run = run
        self.now = 0
        self.outcomes = {key: list(values) for key, values in outcomes.items()}
        self.started: list[str] = []

    def put(self, attempt: Attempt) -> None:
        others = tuple(a for a in self.run.attempts if a.run_id != attempt.run_id)
        attempts = tuple(sorted((*others, attempt), key=lambda a: a.run_id))
        self.run = replace(self.run, attempts=attempts)

    def carry_out(self, step: plan.Step) -> None:
        match step:
            case plan.StartTask(attempt):
                self.started.append(attempt.task.key)
                self.put(replace(attempt, state=states.RUNNING, started=self.now))
            case plan.EndTask(attempt, state):
                self.put(replace(attempt, state=state))
            case plan.RetryTask(attempt):
                self.put(replace(attempt, state=attempt.ending or attempt.state))
                number = max(a.run_id for a in self.run.attempts) + 1
                self.put(Attempt(number, attempt.task, attempt.number + 1, 0, states.BLOCKED))
            case plan.StopTask(attempt, reason):
                self.put(replace(attempt, state=states.STOPPING, stop=reason))
            case plan.StopRun(reason):
                self.run = replace(self.run, stop=reason)
            case plan.SetRun(state):
                assert not self.run.state.terminal
                self.run = replace(self.run, state=state)

    def settle(self) -> None:
        while not self.run.state.terminal:
            steps = plan.next_steps(self.run, self.now)
            if not steps:
                return
            for step in steps:
                self.carry_out(step)

    def end_one(self) -> bool:
        """End the execution of one task, as its script says; tell whether there was one."""
        for attempt in self.run.attempts:
            if attempt.state.life_cycle in plan.EXECUTING:
                script = self.outcomes.get(attempt.task.key, [])
                ending = ENDINGS[script.pop(0) if script else "ok"]
                self.put(plan.after_execution(self.run, attempt, ending))
                return True
        return False

    def finish(self) -> Run:
        self.settle()
        while not self.run.state.terminal:
            if not self.end_one():
                due = plan.next_deadline(self.run)
                assert due is not None, "nothing is executed and nothing is due: the run hangs"
                self.now = max(self.now, due)
            self.settle()
        return self.run


@st.composite
def jobs(draw: st.DrawFn) -> tuple[dict[str, TaskSpec], dict[str, list[str]]]:
    keys = [f"t{number}" for number in range(draw(st.integers(1, 7)))]
    tasks, outcomes = {}, {}
    for position, key in enumerate(keys):
        upstream = draw(st.sets(st.sampled_from(keys[:position]))) if position else set()
        tasks[key] = TaskSpec(
            key,
            tuple(sorted(upstream)),
            draw(st.sampled_from(list(RunIf))),
            max_retries=draw(st.integers(0, 2)),
            retry_interval=draw(st.sampled_from([0, 50])),
        )
        outcomes[key] = draw(st.lists(st.sampled_from(sorted(ENDINGS)), max_size=4))
    return tasks, outcomes


@given(jobs())
def test_every_job_ends_with_every_task_decided_by_its_own_condition(
    job: tuple[dict[str, TaskSpec], dict[str, list[str]]],
) -> None:
    tasks, outcomes = job
    simulation = Simulation(new_run(tasks), outcomes)
    run = simulation.finish()
    assert run.state.result is not None
    current = run.latest
    for key, attempt in current.items():
        upstream = [current[name].state.result for name in tasks[key].depends_on]
        decision = verdict(tasks[key].run_if, [result for result in upstream if result])
        assert (decision is None) == (key in simulation.started)
        if decision is not None:
            assert attempt.state.result is decision
        tries = [a for a in run.attempts if a.task.key == key]
        assert [a.number for a in tries] == list(range(len(tries)))
        assert len(tries) <= 1 + tasks[key].max_retries
        assert all(a.state.result is Result.FAILED for a in tries[:-1])
    order = simulation.started
    for key in order:
        for name in tasks[key].depends_on:
            if name in order:
                last_start = len(order) - 1 - order[::-1].index(name)
                assert last_start < order.index(key)


@given(jobs(), st.integers(0, 6), st.sampled_from(Stop))
def test_a_stopped_run_starts_nothing_more(
    job: tuple[dict[str, TaskSpec], dict[str, list[str]]], ended: int, reason: Stop
) -> None:
    tasks, outcomes = job
    simulation = Simulation(new_run(tasks), outcomes)
    simulation.settle()
    for _ in range(ended):
        simulation.end_one()
        simulation.settle()
    if simulation.run.state.terminal:
        return
    simulation.run = replace(simulation.run, stop=reason)
    before = len(simulation.started)
    run = simulation.finish()
    assert len(simulation.started) == before
    expected = Result.CANCELED if reason is Stop.CANCEL else Result.TIMEDOUT
    assert run.state.result is expected
    assert run.state.stopped


def chain() -> dict[str, TaskSpec]:
    return {"a": TaskSpec("a"), "b": TaskSpec("b", ("a",))}


def test_a_failed_run_names_the_culprit_in_the_cloud_s_words() -> None:
    run = Simulation(new_run(chain()), {"a": ["fail"]}).finish()
    assert run.state == State(
        LifeCycle.INTERNAL_ERROR,
        Result.FAILED,
        "Task a failed with message: Workload failed, see run output for details."
        " This caused all downstream tasks to get skipped.",
        "RUN_EXECUTION_ERROR",
        "CLIENT_ERROR",
    )
    assert run.latest["b"].state == states.UPSTREAM_FAILED


def test_a_task_that_waits_for_its_retry_is_due_an_interval_after_its_start() -> None:
    task = TaskSpec("a", max_retries=1, retry_interval=500)
    simulation = Simulation(new_run({"a": task}), {"a": ["fail", "ok"]})
    simulation.now = 1000
    simulation.settle()
    simulation.now = 1200
    simulation.end_one()
    simulation.settle()
    assert simulation.run.latest["a"].state.life_cycle is LifeCycle.WAITING_FOR_RETRY
    assert plan.next_deadline(simulation.run) == 1500
    assert simulation.finish().state.result is Result.SUCCESS


def test_a_task_that_takes_too_long_is_stopped_and_fails_the_run() -> None:
    simulation = Simulation(new_run({"a": TaskSpec("a", timeout=2)}), {})
    simulation.settle()
    assert plan.next_deadline(simulation.run) == 2000
    simulation.now = 2000
    run = simulation.finish()
    assert run.latest["a"].state == states.TIMED_OUT
    assert (run.state.life_cycle, run.state.result) == (LifeCycle.INTERNAL_ERROR, Result.FAILED)


def test_time_outs_are_retried_only_if_asked() -> None:
    for retry, attempts in ((False, 1), (True, 2)):
        task = TaskSpec("a", timeout=2, max_retries=1, retry_on_timeout=retry)
        simulation = Simulation(new_run({"a": task}), {})
        simulation.settle()
        simulation.now = 2000
        assert len(simulation.finish().attempts) == attempts


def test_a_run_that_takes_too_long_is_timed_out() -> None:
    simulation = Simulation(new_run(chain(), timeout=3), {})
    simulation.settle()
    assert plan.next_deadline(simulation.run) == 3000
    simulation.now = 3000
    run = simulation.finish()
    assert run.state == states.TIMED_OUT
    assert run.latest["a"].state.result is Result.TIMEDOUT
    assert run.latest["b"].state.result is Result.UPSTREAM_FAILED


def test_a_cancelled_task_run_takes_its_dependents_along() -> None:
    simulation = Simulation(new_run(chain()), {})
    simulation.settle()
    simulation.put(replace(simulation.run.latest["a"], stop=Stop.CANCEL))
    run = simulation.finish()
    assert run.latest["a"].state == states.TASK_CANCELED
    assert run.latest["b"].state == states.UPSTREAM_CANCELED
    assert run.state.result is Result.CANCELED


def test_a_run_that_waits_in_the_queue_for_two_days_is_dropped() -> None:
    run = replace(new_run({"a": TaskSpec("a"), "b": TaskSpec("b", ("a",))}), state=states.queued(1))
    due = 48 * 3600 * 1000
    assert plan.next_deadline(run) == due
    assert plan.next_steps(run, due - 1) == ()
    *tasks, last = plan.next_steps(run, due)
    assert isinstance(last, plan.SetRun)
    assert last.state == states.queued_too_long(states.queued(1))
    assert (last.state.life_cycle, last.state.result) == (
        LifeCycle.SKIPPED,
        Result.MAXIMUM_CONCURRENT_RUNS_REACHED,
    )
    assert "removed from the queue after 48 hours" in last.state.message
    assert [step.state for step in tasks if isinstance(step, plan.EndTask)] == [last.state] * 2
