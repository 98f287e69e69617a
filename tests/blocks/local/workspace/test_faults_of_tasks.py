"""Faults of tasks: the engine on a real store and real threads, only the notebooks scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.local.workspace.clock import now
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.specs import parse_fault
from blocks.local.workspace.options import Options
from blocks.local.workspace.runs import Run
from blocks.local.workspace.states import LifeCycle
from tests.blocks.local.workspace.fake import Bench, job, life_cycles, results, task


@pytest.fixture
def book() -> FaultBook:
    return FaultBook()


@pytest.fixture
def bench(tmp_path: Path, book: FaultBook) -> Iterator[Bench]:
    with Bench.on(tmp_path / "workspace.db", faults=book) as running:
        yield running


def add(book: FaultBook, kind: str, **settings: Any) -> None:
    book.add(parse_fault({"kind": kind, **settings}))


def test_a_task_fails_the_first_times_and_is_retried(bench: Bench, book: FaultBook) -> None:
    add(book, "exception", task="a", times=2, error="ValueError: asked for")
    run = bench.finished(bench.run(bench.create(job(task("a", max_retries=2), task("b", "a")))))
    assert results(run) == {"a": ["FAILED", "FAILED", "SUCCESS"], "b": ["SUCCESS"]}
    output = bench.store.outputs.get(run.attempts[0].run_id)
    assert output is not None
    assert output.error == "ValueError: asked for"
    assert len(bench.executor.started) == 2


def test_a_library_that_cannot_be_installed(bench: Bench, book: FaultBook) -> None:
    add(book, "library_failed", task="a")
    run_id = bench.run(bench.create(job(task("a"))))
    run = bench.finished(run_id)
    state = run.latest["a"].state
    assert (state.life_cycle, state.code) == ("INTERNAL_ERROR", "LIBRARY_INSTALLATION_ERROR")
    assert (run.state.life_cycle, run.state.code) == ("INTERNAL_ERROR", state.code)
    assert bench.executor.started == []
    bench.repair(run_id, "a")
    assert results(bench.finished(run_id)) == {"a": ["FAILED", "SUCCESS"]}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("cluster_lost", "CLUSTER_ERROR"),
        ("spot_lost", "CLOUD_FAILURE"),
        ("driver_lost", "DRIVER_ERROR"),
    ],
)
def test_a_lost_cluster_takes_every_task_on_it(
    bench: Bench, book: FaultBook, kind: str, code: str
) -> None:
    add(book, kind, task="a", after_seconds=0.2)
    other = {"job_cluster_key": None, "existing_cluster_id": "1"}
    job_id = bench.create(
        job(task("a"), task("b"), task("c", **other)), a="wait", b="wait", c="wait"
    )
    run_id = bench.run(job_id)
    run = bench.until(run_id, lambda run: all(run.latest[key].state.terminal for key in "ab"))
    assert run.latest["a"].state.life_cycle is LifeCycle.INTERNAL_ERROR
    assert [run.latest[key].state.code for key in "ab"] == [code, code]
    assert life_cycles(run)["c"] == "RUNNING"
    lost = [item.alive for item in bench.executor.clusters]
    assert sorted(lost) == [False, True]
    output = bench.store.outputs.get(run.latest["a"].run_id)
    assert output is not None
    assert output.error == run.latest["a"].state.message
    bench.runs.cancel(run_id)
    bench.finished(run_id)


def test_an_existing_cluster_that_was_lost_is_started_anew(bench: Bench, book: FaultBook) -> None:
    add(book, "cluster_lost", task="a")
    existing = task("a", job_cluster_key=None, existing_cluster_id="1", max_retries=1)
    run = bench.finished(bench.run(bench.create(job(existing))))
    assert results(run) == {"a": ["FAILED", "SUCCESS"]}
    assert [item.alive for item in bench.executor.clusters] == [False, True]


def test_a_process_without_memory_dies_alone(bench: Bench, book: FaultBook) -> None:
    add(book, "out_of_memory", task="a", after_seconds=0.1)
    run_id = bench.run(bench.create(job(task("a"), task("b")), a="wait", b="wait"))
    run = bench.until(run_id, lambda run: run.latest["a"].state.terminal)
    assert "exit code 137" in run.latest["a"].state.message
    assert life_cycles(run)["b"] == "RUNNING"
    assert [item.alive for item in bench.executor.clusters] == [True]
    bench.runs.cancel(run_id)
    bench.finished(run_id)


def test_a_task_that_ends_sooner_is_not_struck(bench: Bench, book: FaultBook) -> None:
    add(book, "cluster_lost", task="a", after_seconds=60)
    run = bench.finished(bench.run(bench.create(job(task("a")))))
    assert results(run) == {"a": ["SUCCESS"]}


def run_job(key: str, job_id: int) -> dict[str, Any]:
    return {"task_key": key, "run_job_task": {"job_id": job_id}}


def for_each(key: str, inputs: str) -> dict[str, Any]:
    return {"task_key": key, "for_each_task": {"inputs": inputs, "task": task("each")}}


def add_job(bench: Bench, *tasks: dict[str, Any]) -> int:
    bench.notebook("each", "ok")
    return bench.store.jobs.add(job(*tasks), now())


def child_of(bench: Bench, run: Run, key: str) -> Run:
    child = bench.store.runs.child(run.latest[key].run_id)
    assert child is not None
    return child


@pytest.mark.parametrize("kind", ["exception", "library_failed"])
def test_a_task_that_starts_a_run_is_struck_before_it_does(
    bench: Bench, book: FaultBook, kind: str
) -> None:
    inner = bench.create(job(task("a")))
    tasks = run_job("call", inner), for_each("loop", "[1]")
    for key in ("call", "loop"):
        add(book, kind, task=key)
    run_id = bench.run(add_job(bench, *tasks))
    run = bench.finished(run_id)
    assert results(run) == {"call": ["FAILED"], "loop": ["FAILED"]}
    assert bench.executor.started == []
    for attempt in run.attempts:
        assert bench.store.runs.child(attempt.run_id) is None
        output = bench.store.outputs.get(attempt.run_id)
        assert (output is not None) == (kind == "exception")
        assert (attempt.executing > 0) == (kind == "exception")
    bench.repair(run_id, rerun_all_failed_tasks=True)
    assert bench.finished(run_id).state.result == "SUCCESS"


@pytest.mark.parametrize(
    ("kind", "code"), [("cluster_lost", "CLUSTER_ERROR"), ("out_of_memory", "DRIVER_ERROR")]
)
def test_what_a_task_that_starts_a_run_loses_is_lost_by_that_run(
    bench: Bench, book: FaultBook, kind: str, code: str
) -> None:
    inner = add_job(bench, for_each("inside", "[1]"))
    bench.notebook("each", "wait")
    add(book, kind, task="call", after_seconds=0.1)
    run = bench.finished(bench.run(bench.store.jobs.add(job(run_job("call", inner)), now())))
    assert run.latest["call"].state.code == code
    child = child_of(bench, run, "call")
    assert child.state.code == code
    iteration = child_of(bench, child, "inside").latest["each_0"]
    assert (iteration.state.life_cycle, iteration.state.code) == ("INTERNAL_ERROR", code)


def test_iterations_are_struck_by_their_own_key_or_by_that_of_the_task_that_is_repeated(
    bench: Bench, book: FaultBook
) -> None:
    add(book, "exception", task="each_2")
    add(book, "exception", task="each")
    run_id = bench.run(add_job(bench, for_each("loop", "[1, 2, 3]")))
    run = bench.finished(run_id)
    iterations = results(child_of(bench, run, "loop"))
    assert iterations == {"each_0": ["FAILED"], "each_1": ["SUCCESS"], "each_2": ["FAILED"]}


def test_the_tasks_of_a_run_that_a_task_started_are_struck(bench: Bench, book: FaultBook) -> None:
    inner = bench.create(job(task("a")), a="wait")
    add(book, "spot_lost", task="a")
    outer = bench.store.jobs.add(job(run_job("call", inner)), now())
    run = bench.finished(bench.run(outer))
    assert run.state.code == "CLOUD_FAILURE"


def test_faults_show_the_states_that_come_before(tmp_path: Path, book: FaultBook) -> None:
    add(book, "exception", task="a")
    add(book, "library_failed", task="b")
    options = Options(cluster_start_seconds=0.3)
    with Bench.on(tmp_path / "slow.db", faults=book, options=options) as bench:
        run_id = bench.run(bench.create(job(task("a"), task("b"))))
        run = bench.until(run_id, lambda run: "PENDING" in life_cycles(run).values())
        assert not any(attempt.state.terminal for attempt in run.attempts)
        run = bench.finished(run_id)
        a, b = run.latest["a"], run.latest["b"]
        assert a.executing - a.started >= 300
        assert (a.cluster_id is not None, b.executing) == (True, 0)
        assert b.ended - b.started >= 300


def test_a_condition_is_struck_too(bench: Bench, book: FaultBook) -> None:
    add(book, "exception", task="check", error="boom")
    action = {"op": "EQUAL_TO", "left": "1", "right": "1"}
    settings = job({"task_key": "check", "condition_task": action})
    run = bench.finished(bench.run(bench.store.jobs.add(settings, now())))
    assert results(run) == {"check": ["FAILED"]}
    assert run.latest["check"].outcome is None


@pytest.mark.parametrize("way", ["cancel", "cluster_lost"])
def test_a_notebook_that_another_one_runs_ends_as_that_does(
    bench: Bench, book: FaultBook, way: str
) -> None:
    bench.notebook("child", "wait")
    if way == "cluster_lost":
        add(book, way, task="a", after_seconds=0.2)
    run_id = bench.run(bench.create(job(task("a")), a="call /child"))
    bench.execution(1)
    if way == "cancel":
        bench.runs.cancel(run_id)
    run = bench.finished(run_id)
    child = child_of(bench, run, "a")
    assert child.state.result == run.state.result
    assert child.latest["child"].state == run.latest["a"].state
    assert child.state.code == ("USER_CANCELED" if way == "cancel" else "CLUSTER_ERROR")
