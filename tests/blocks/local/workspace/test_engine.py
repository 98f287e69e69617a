"""The engine, on a real store and real threads; only the notebooks are scripted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from blocks.local.workspace import states
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.repair import RepairChoice
from blocks.local.workspace.runs import Parameters
from blocks.local.workspace.states import LifeCycle, Result
from blocks.local.workspace.switches import Switches
from tests.blocks.local.workspace.fake import Bench, job, life_cycles, results, task


def test_a_run_that_fails_is_repaired_on_a_new_cluster_and_ends_green(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b", "a"), task("c", "b")), b="fail ValueError: x")
    run_id = bench.run(job_id)
    run = bench.finished(run_id)
    assert run.state.life_cycle is LifeCycle.INTERNAL_ERROR
    assert results(run) == {"a": ["SUCCESS"], "b": ["FAILED"], "c": ["UPSTREAM_FAILED"]}
    first = run.attempts
    assert first[2].started == 0
    assert first[2].ended > 0

    bench.notebook("b", "exit done")
    repair_id = bench.repair(run_id, "b", "c")
    assert not bench.runs.run(run_id).state.terminal
    run = bench.finished(run_id)
    assert run.state == states.SUCCEEDED
    assert results(run) == {
        "a": ["SUCCESS"],
        "b": ["FAILED", "SUCCESS"],
        "c": ["UPSTREAM_FAILED", "SUCCESS"],
    }
    assert run.attempts[:3] == first
    assert [item.repair_id for item in run.rounds] == [None, repair_id]
    assert [item.state.result for item in run.rounds] == [Result.FAILED, Result.SUCCESS]
    output = bench.store.outputs.get(run.latest["b"].run_id)
    assert output is not None
    assert output.result == "done"
    clusters = {attempt.cluster_id for attempt in run.attempts if attempt.cluster_id}
    assert len(clusters) == len(bench.executor.clusters) == 2
    assert not any(cluster.alive for cluster in bench.executor.clusters)


def test_a_repair_of_the_failed_task_alone_leaves_its_dependents_behind(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b", "a")), a="fail x")
    run_id = bench.run(job_id)
    bench.finished(run_id)
    bench.notebook("a", "ok")
    bench.repair(run_id, "a")
    run = bench.finished(run_id)
    assert results(run) == {"a": ["FAILED", "SUCCESS"], "b": ["UPSTREAM_FAILED"]}
    assert run.state.result is Result.FAILED


def test_a_repair_uses_the_current_settings_and_not_the_old_parameters(bench: Bench) -> None:
    settings = job(task("a"), parameters=[{"name": "p", "default": "old"}])
    job_id = bench.create(settings, a="fail x")
    run_id = bench.run(job_id, p="given")
    bench.finished(run_id)
    changed = job(task("a", description="new"), parameters=[{"name": "p", "default": "new"}])
    bench.store.jobs.change(job_id, changed)
    bench.repair(run_id, "a")
    run = bench.finished(run_id)
    sent = [dict(item.request.parameters) for item in bench.executor.started]
    assert sent == [{"p": "given"}, {"p": "new"}]
    assert "description" not in run.attempts[0].task.settings
    assert run.attempts[1].task.settings["description"] == "new"


def test_a_switch_makes_repairs_inherit_parameters(tmp_path: Path) -> None:
    with Bench.on(tmp_path / "db", Switches(repair_inherits_parameters=True)) as bench:
        job_id = bench.create(job(task("a")), a="fail x")
        run_id = bench.run(job_id, p="given")
        bench.finished(run_id)
        bench.repair(run_id, "a")
        bench.finished(run_id)
        assert [item.request.parameters["p"] for item in bench.executor.started] == ["given"] * 2


def test_repairs_that_are_refused(bench: Bench) -> None:
    job_id = bench.create(job(task("a")), a="wait")
    run_id = bench.run(job_id)
    bench.until(run_id, lambda run: life_cycles(run) == {"a": "RUNNING"})
    with pytest.raises(ApiError, match="in progress"):
        bench.repair(run_id, "a")
    bench.runs.cancel(run_id)
    bench.finished(run_id)
    bench.notebook("a", "fail x")
    bench.repair(run_id, "a")
    bench.finished(run_id)
    with pytest.raises(ApiError, match="latest repair ID needs to be provided"):
        bench.runs.repair(run_id, RepairChoice(("a",)), Parameters())
    submitted = bench.runs.submit(job(task("a")))
    bench.finished(submitted)
    with pytest.raises(ApiError, match="submitted once"):
        bench.repair(submitted, "a")


def test_independent_tasks_run_at_the_same_time_on_one_cluster(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b"), task("c", "a", "b")), a="wait", b="wait")
    run_id = bench.run(job_id)
    bench.until(
        run_id, lambda run: life_cycles(run) == {"a": "RUNNING", "b": "RUNNING", "c": "BLOCKED"}
    )
    assert len(bench.executor.clusters) == 1
    for number in range(2):
        bench.execution(number).ended.set()
    assert bench.finished(run_id).state == states.SUCCEEDED


def test_cancel_ends_what_runs_and_what_waits(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b", "a", run_if="ALL_DONE")), a="wait")
    run_id = bench.run(job_id)
    bench.until(run_id, lambda run: life_cycles(run)["a"] == "RUNNING")
    notebook = bench.execution(0)
    bench.runs.cancel(run_id)
    run = bench.finished(run_id)
    assert run.state == states.RUN_CANCELED
    assert results(run) == {"a": ["CANCELED"], "b": ["UPSTREAM_CANCELED"]}
    assert notebook.killed
    bench.runs.cancel(run_id)
    assert bench.runs.run(run_id) == run


def test_one_task_run_can_be_cancelled(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b")), a="wait")
    run_id = bench.run(job_id)
    run = bench.until(run_id, lambda run: life_cycles(run)["a"] == "RUNNING")
    bench.runs.cancel(run.latest["a"].run_id)
    assert results(bench.finished(run_id)) == {"a": ["CANCELED"], "b": ["SUCCESS"]}


def test_retries_add_attempts(bench: Bench) -> None:
    job_id = bench.create(job(task("a", max_retries=2)), a="fail x")
    run = bench.finished(bench.run(job_id))
    assert results(run) == {"a": ["FAILED"] * 3}
    assert [attempt.number for attempt in run.attempts] == [0, 1, 2]


def test_a_task_time_out_kills_the_notebook(bench: Bench) -> None:
    job_id = bench.create(job(task("a", timeout_seconds=1), task("b", "a")), a="wait")
    run = bench.finished(bench.run(job_id))
    assert results(run) == {"a": ["TIMEDOUT"], "b": ["UPSTREAM_FAILED"]}
    assert bench.execution(0).killed


def test_runs_over_the_limit_queue_and_start_in_order(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), task("b", "a")), a="wait")
    first, second, third = (bench.run(job_id) for _ in range(3))
    bench.until(first, lambda run: life_cycles(run)["a"] == "RUNNING")
    queued = bench.runs.run(second)
    assert queued.state == states.queued(1)
    assert life_cycles(queued) == {"a": "QUEUED", "b": "BLOCKED"}
    bench.runs.cancel(second)
    assert results(bench.finished(second)) == {"a": ["CANCELED"], "b": ["UPSTREAM_CANCELED"]}
    bench.execution(0).ended.set()
    bench.finished(first)
    run = bench.until(third, lambda run: life_cycles(run)["a"] == "RUNNING")
    assert run.round.started > run.round.requested
    # The second notebook is task b of the first run.
    bench.execution(2).ended.set()
    assert bench.finished(third).state == states.SUCCEEDED


def test_without_a_queue_a_run_over_the_limit_is_skipped(bench: Bench) -> None:
    job_id = bench.create(job(task("a"), queue=False), a="wait")
    first, second = bench.run(job_id), bench.run(job_id)
    run = bench.runs.run(second)
    assert (run.state, run.attempts) == (states.over_limit(1), ())
    bench.runs.cancel(first)
    bench.finished(first)


def test_a_token_starts_one_run_only(bench: Bench) -> None:
    job_id = bench.create(job(task("a")))
    ids = {bench.runs.run_now(job_id, Parameters(), token="t") for _ in range(3)}
    assert len(ids) == 1
    run_id = ids.pop()
    bench.finished(run_id)
    bench.runs.delete(run_id)
    with pytest.raises(ApiError, match="has been deleted"):
        bench.runs.run_now(job_id, Parameters(), token="t")


def test_task_values_reach_later_tasks_by_reference(bench: Bench) -> None:
    notebook = {"notebook_path": "/b", "base_parameters": {"n": "{{tasks.a.values.rows}}"}}
    job_id = bench.create(job(task("a"), task("b", "a", notebook_task=notebook)), a="set rows 7")
    assert bench.finished(bench.run(job_id)).state == states.SUCCEEDED
    assert bench.execution(1).request.parameters == {"n": "7"}


@pytest.mark.parametrize(
    ("notebook", "code", "message"),
    [
        ({"notebook_path": "/gone"}, "RESOURCE_NOT_FOUND", 'access the notebook "/gone"'),
        (
            {"notebook_path": "/a", "base_parameters": {"x": "{{tasks.a.values.v}}"}},
            "INVALID_RUN_CONFIGURATION",
            "tasks.a.values.v",
        ),
    ],
)
def test_tasks_that_cannot_begin(
    bench: Bench, notebook: dict[str, object], code: str, message: str
) -> None:
    run = bench.finished(bench.run(bench.create(job(task("a", notebook_task=notebook)))))
    state = run.latest["a"].state
    assert (state.life_cycle, state.result, state.code) == ("INTERNAL_ERROR", "FAILED", code)
    assert message in state.message


def test_after_a_crash_what_was_running_has_lost_its_driver(tmp_path: Path) -> None:
    path, crashed = tmp_path / "db", tmp_path / "crashed"
    with Bench.on(path) as before:
        job_id = before.create(job(task("a"), task("b", "a")), a="wait")
        run_id = before.run(job_id)
        queued_id = before.run(job_id)
        before.until(run_id, lambda run: life_cycles(run)["a"] == "RUNNING")
        # What a kill at this moment would leave behind.
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", [str(crashed)])
        before.runs.cancel_all(job_id)
        before.finished(run_id)
    with Bench.on(crashed) as after:
        run = after.finished(run_id)
        assert run.latest["a"].state == states.DRIVER_LOST
        assert run.latest["b"].state.result is Result.UPSTREAM_FAILED
        assert (run.state.life_cycle, run.state.code) == ("INTERNAL_ERROR", "DRIVER_ERROR")
        after.until(queued_id, lambda run: life_cycles(run)["a"] == "RUNNING")


def test_a_new_time_out_counts_for_runs_that_are_active(bench: Bench) -> None:
    job_id = bench.create(job(task("a")), a="wait")
    run_id = bench.run(job_id)
    bench.until(run_id, lambda run: life_cycles(run)["a"] == "RUNNING")
    bench.store.jobs.change(job_id, job(task("a"), timeout_seconds=1))
    bench.runs.job_changed(bench.runs.job(job_id))
    assert bench.finished(run_id).state == states.TIMED_OUT
