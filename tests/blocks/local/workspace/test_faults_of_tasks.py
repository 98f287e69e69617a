"""Faults of tasks: the engine on a real store and real threads, only the notebooks scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.specs import parse_fault
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
