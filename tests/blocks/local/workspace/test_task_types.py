"""Conditions, for-each, run-job and Python tasks, code from Git: real store, real threads."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from blocks.local.workspace import states
from blocks.local.workspace.clock import now
from blocks.local.workspace.conditions import holds
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.options import Options
from blocks.local.workspace.runs import Run, RunType
from blocks.local.workspace.specs import Operator
from blocks.local.workspace.states import LifeCycle, Result
from blocks.local.workspace.store.objects import ObjectType, WorkspaceObject
from tests.blocks.local.workspace.fake import Bench, job, life_cycles, results, task


def condition(key: str, *after: str, op: str = "EQUAL_TO", left: str, right: str) -> dict[str, Any]:
    return {
        "task_key": key,
        "depends_on": [{"task_key": upstream} for upstream in after],
        "condition_task": {"op": op, "left": left, "right": right},
    }


def for_each(key: str, inputs: str, concurrency: int, **nested: Any) -> dict[str, Any]:
    each = {"notebook_path": "/each", "base_parameters": {"item": "{{input}}"}}
    inner = {**task("each"), "notebook_task": each, **nested}
    return {
        "task_key": key,
        "for_each_task": {"inputs": inputs, "concurrency": concurrency, "task": inner},
    }


def run_job(key: str, job_id: int, **action: Any) -> dict[str, Any]:
    return {"task_key": key, "run_job_task": {"job_id": job_id, **action}}


def add_job(bench: Bench, settings: dict[str, Any]) -> int:
    return bench.store.jobs.add(settings, now())


def nested(bench: Bench, run: Run, key: str) -> Run:
    child = bench.store.runs.child(run.latest[key].run_id)
    assert child is not None
    return child


class TestConditions:
    @pytest.mark.parametrize(
        ("op", "left", "right", "met"),
        [
            ("EQUAL_TO", "12.0", "12", False),
            ("NOT_EQUAL", "12.0", "12", True),
            ("GREATER_THAN_OR_EQUAL", "12.0", "12", True),
            ("GREATER_THAN", "9", "10", False),
            ("LESS_THAN", "9", "10", True),
            ("LESS_THAN_OR_EQUAL", "11", "10", False),
        ],
    )
    def test_equality_is_of_texts_and_order_of_numbers(
        self, op: str, left: str, right: str, met: bool
    ) -> None:
        assert holds(Operator(op), left, right) is met

    def test_only_the_branch_of_the_outcome_runs(self, bench: Bench) -> None:
        yes = {**task("yes"), "depends_on": [{"task_key": "if", "outcome": "true"}]}
        no = {**task("no", "a"), "depends_on": [{"task_key": "if", "outcome": "false"}]}
        check = condition("if", "a", left="{{tasks.a.values.rows}}", right="7")
        settings = job(task("a"), check, yes, no, task("end", "no"))
        for name, script in {"a": "set rows 7", "yes": "ok", "no": "ok", "end": "ok"}.items():
            bench.notebook(name, script)
        run = bench.finished(bench.run(add_job(bench, settings)))
        assert run.state == states.SUCCEEDED
        assert run.latest["if"].outcome == "true"
        assert run.latest["if"].resolved == {"condition_task": {"left": "7", "right": "7"}}
        assert results(run) == {
            "a": ["SUCCESS"],
            "if": ["SUCCESS"],
            "yes": ["SUCCESS"],
            "no": ["EXCLUDED"],
            "end": ["EXCLUDED"],
        }

    def test_an_order_of_words_is_no_condition(self, bench: Bench) -> None:
        check = condition("if", op="LESS_THAN", left="a", right="1")
        run = bench.finished(bench.run(add_job(bench, job(check))))
        assert run.latest["if"].state.code == "INVALID_RUN_CONFIGURATION"

    def test_an_outcome_is_that_of_a_condition_task(self) -> None:
        wrong = {**task("b"), "depends_on": [{"task_key": "a", "outcome": "true"}]}
        with pytest.raises(ApiError, match="which is no condition task"):
            job(task("a"), wrong)


class TestForEach:
    def test_each_input_is_an_iteration_and_some_run_at_the_same_time(self, bench: Bench) -> None:
        bench.notebook("each", "wait")
        settings = job(for_each("loop", '["x", {"a": 1}, 3]', 2))
        run_id = bench.run(add_job(bench, settings))
        bench.execution(1)
        child = nested(bench, bench.runs.run(run_id), "loop")
        bench.until(child.run_id, lambda run: _running(run) == 2)
        assert len(bench.executor.started) == 2
        for number in range(3):
            bench.execution(number).ended.set()
        run = bench.finished(run_id)
        assert run.state == states.SUCCEEDED
        sent = [dict(item.request.parameters)["item"] for item in bench.executor.started]
        assert sorted(sent) == ["3", "x", '{"a": 1}']
        assert len(bench.executor.clusters) == 1
        assert [r.run_id for r in bench.store.runs.list_page(skip=0, limit=9)] == [run_id]

    def test_a_failed_iteration_fails_the_task_and_a_repair_runs_it_whole(
        self, bench: Bench
    ) -> None:
        bench.notebook("each", "fail x")
        run_id = bench.run(add_job(bench, job(for_each("loop", "[1, 2]", 1))))
        run = bench.finished(run_id)
        assert run.latest["loop"].state.result is Result.FAILED
        assert "each_0 failed" in run.latest["loop"].state.message
        first = nested(bench, run, "loop")
        assert [attempt.state.result for attempt in first.attempts] == ["FAILED"] * 2
        bench.notebook("each", "ok")
        bench.repair(run_id, "loop")
        assert bench.finished(run_id).state == states.SUCCEEDED
        assert nested(bench, bench.runs.run(run_id), "loop").run_id != first.run_id

    def test_a_repair_has_as_many_iterations_as_the_run(self, bench: Bench) -> None:
        bench.notebook("each", "fail x")
        settings = job(
            for_each("loop", "{{job.parameters.all}}", 1),
            parameters=[{"name": "all", "default": "[1, 2]"}],
        )
        job_id = add_job(bench, settings)
        run_id = bench.run(job_id)
        bench.finished(run_id)
        parameters = [{"name": "all", "default": "[1]"}]
        bench.store.jobs.change(job_id, {**settings, "parameters": parameters})
        bench.repair(run_id, "loop")
        message = bench.finished(run_id).latest["loop"].state.message
        assert message.startswith("Inputs of a For each task repair must resolve to the same")

    @pytest.mark.parametrize("inputs", ["{}", "[", "[]", "7"])
    def test_inputs_that_are_none(self, bench: Bench, inputs: str) -> None:
        run = bench.finished(bench.run(add_job(bench, job(for_each("loop", inputs, 1)))))
        assert run.latest["loop"].state.code == "INVALID_RUN_CONFIGURATION"

    def test_cancel_ends_the_iterations(self, bench: Bench) -> None:
        bench.notebook("each", "wait")
        run_id = bench.run(add_job(bench, job(for_each("loop", "[1, 2]", 1))))
        notebook = bench.execution(0)
        bench.runs.cancel(run_id)
        run = bench.finished(run_id)
        assert run.state == states.RUN_CANCELED
        assert notebook.killed
        child = bench.finished(nested(bench, run, "loop").run_id)
        assert results(child) == {"each_0": ["CANCELED"], "each_1": ["CANCELED"]}

    def test_after_a_crash_the_iterations_that_were_left_go_on(self, tmp_path: Path) -> None:
        path, crashed = tmp_path / "db", tmp_path / "crashed"
        with Bench.on(path) as before:
            before.notebook("each", "wait")
            loop = for_each("loop", "[1, 2]", 1, max_retries=1)
            run_id = before.run(add_job(before, job(loop)))
            before.execution(0)
            child = nested(before, before.runs.run(run_id), "loop")
            before.until(child.run_id, lambda run: _running(run) == 1)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("VACUUM INTO ?", [str(crashed)])
            before.runs.cancel(run_id)
            before.finished(run_id)
        with Bench.on(crashed) as after:
            after.notebook("each", "ok")
            assert after.finished(run_id).state == states.SUCCEEDED
            again = after.runs.run(child.run_id)
            assert results(again) == {"each_0": ["FAILED", "SUCCESS"], "each_1": ["SUCCESS"]}


def _running(run: Run) -> int:
    return sum(state == LifeCycle.RUNNING for state in life_cycles(run).values())


class TestRunJob:
    def test_the_task_ends_as_the_run_of_the_other_job_does(self, bench: Bench) -> None:
        inner = bench.create(job(task("a"), parameters=[{"name": "p", "default": "d"}]), a="ok")
        outer = job(run_job("call", inner, job_parameters={"p": "{{job.id}}"}))
        outer_id = add_job(bench, outer)
        run = bench.finished(bench.run(outer_id))
        assert run.state == states.SUCCEEDED
        child = nested(bench, run, "call")
        assert (child.job_id, child.run_type) == (inner, RunType.JOB_RUN)
        assert bench.execution(0).request.parameters == {"p": str(outer_id)}
        bench.notebook("a", "fail x")
        run = bench.finished(bench.run(outer_id))
        assert run.latest["call"].state.result is Result.FAILED
        assert "Task a failed" in run.state.message

    def test_a_run_that_is_dropped_fails_the_task(self, bench: Bench) -> None:
        inner = bench.create(job(task("a"), max_concurrent_runs=0), a="ok")
        run = bench.finished(bench.run(add_job(bench, job(run_job("call", inner)))))
        assert run.latest["call"].state.code == "MAX_CONCURRENT_RUNS_EXCEEDED"

    def test_jobs_that_run_each_other_in_a_circle_are_stopped(self, bench: Bench) -> None:
        job_id = add_job(bench, job(task("a")))
        bench.store.jobs.change(job_id, job(run_job("call", job_id), max_concurrent_runs=5))
        run = bench.finished(bench.run(job_id))
        assert "in a circle" in run.latest["call"].state.message

    def test_an_unknown_job(self, bench: Bench) -> None:
        run = bench.finished(bench.run(add_job(bench, job(run_job("call", 1)))))
        assert run.latest["call"].state.message == "Job 1 does not exist."


class TestCode:
    def test_a_python_file_gets_its_arguments(self, bench: Bench) -> None:
        file = WorkspaceObject("/main.py", ObjectType.FILE, b"ok")
        bench.store.objects.put(file, now())
        action = {"python_file": "/Workspace/main.py", "parameters": ["--run", "{{job.run_id}}"]}
        run_id = bench.run(add_job(bench, job({"task_key": "py", "spark_python_task": action})))
        assert bench.finished(run_id).state == states.SUCCEEDED
        request = bench.execution(0).request
        assert request.arguments == ("--run", str(run_id))
        assert (request.notebook.path, request.notebook.format) == ("/main.py", "SCRIPT")

    def test_a_round_sees_one_commit_of_a_branch(self, bench: Bench, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "repo")
        repository.commit("jobs/load.py", "# Databricks notebook source\nfirst\n")
        git_source = {
            "git_provider": "gitHub",
            "git_url": f"file://{repository.folder}",
            "git_branch": "main",
        }
        code = {"notebook_path": "jobs/load"}
        settings = job(
            task("a", notebook_task=code), task("b", "a", notebook_task=code), git_source=git_source
        )
        bench.notebook("unused", "ok")
        run_id = bench.run(add_job(bench, settings))
        run = bench.finished(run_id)
        assert run.state == states.SUCCEEDED
        used = run.round.settings["git_source"]["git_snapshot"]["used_commit"]
        assert used == repository.head
        repository.commit("jobs/load.py", "# Databricks notebook source\nsecond\n")
        bench.repair(run_id, "b")
        bench.finished(run_id)
        contents = [item.request.notebook.content for item in bench.executor.started]
        assert [text.split()[-1] for text in contents] == ["first", "first", "second"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"git_branch": "gone"}, "REPOSITORY_CHECKOUT_FAILED"),
            ({"git_url": "/nowhere", "git_branch": "main"}, "REPOSITORY_CHECKOUT_FAILED"),
            ({"git_branch": "main"}, "RESOURCE_NOT_FOUND"),
        ],
    )
    def test_git_sources_that_cannot_be_read(
        self, bench: Bench, tmp_path: Path, change: dict[str, str], code: str
    ) -> None:
        repository = Repository(tmp_path / "repo")
        repository.commit("readme", "")
        source = {"git_provider": "gitHub", "git_url": str(repository.folder), **change}
        settings = job(task("a", notebook_task={"notebook_path": "gone"}), git_source=source)
        run = bench.finished(bench.run(add_job(bench, settings)))
        assert run.latest["a"].state.code == code

    @pytest.mark.parametrize(
        ("source", "path", "message"),
        [
            ({"git_url": "https://example.com/x.git", "git_branch": "m"}, "a", "of this machine"),
            ({"git_url": "/repo", "git_branch": "m"}, "/a", "must be relative"),
            ({"git_url": "/repo", "git_branch": "m"}, "../a", "must be relative"),
            ({"git_url": "/repo"}, "a", "Exactly one of git_branch"),
        ],
    )
    def test_git_sources_that_are_refused(
        self, source: dict[str, str], path: str, message: str
    ) -> None:
        with pytest.raises(ApiError, match=message):
            job(
                task("a", notebook_task={"notebook_path": path}),
                git_source={"git_provider": "gitHub", **source},
            )


class Repository:
    """A Git repository with one branch, ``main``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "--quiet", "-b", "main", str(folder)], check=True)

    def commit(self, path: str, content: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        self._git("add", ".")
        self._git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", path)

    @property
    def head(self) -> str:
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class TestClusters:
    def test_two_versions_of_a_library_do_not_come_together(self, bench: Bench) -> None:
        def with_library(key: str, *after: str, package: str) -> dict[str, Any]:
            return task(key, *after, libraries=[{"pypi": {"package": package}}])

        settings = job(
            with_library("a", package="Some_Lib==1.0"),
            with_library("same", "a", package="some-lib==1.0"),
            with_library("other", "same", package="some.lib[x]==2.0"),
        )
        run = bench.finished(bench.run(bench.create(settings)))
        assert results(run) == {"a": ["SUCCESS"], "same": ["SUCCESS"], "other": ["FAILED"]}
        state = run.latest["other"].state
        assert state.code == "LIBRARY_INSTALLATION_ERROR"
        assert "for some-lib==2.0. Error messages: some-lib==1.0 is installed" in state.message

    def test_a_cluster_that_takes_its_time_is_seen_and_can_be_cancelled(
        self, tmp_path: Path
    ) -> None:
        with Bench.on(tmp_path / "db", options=Options(cluster_start_seconds=60)) as bench:
            run_id = bench.run(bench.create(job(task("a"))))
            bench.until(run_id, lambda run: life_cycles(run)["a"] == "PENDING")
            assert bench.runs.run(run_id).state.life_cycle is LifeCycle.PENDING
            begun = time.monotonic()
            bench.runs.cancel(run_id)
            assert bench.finished(run_id).state == states.RUN_CANCELED
            assert time.monotonic() - begun < 5

    def test_no_more_notebooks_run_at_the_same_time_than_allowed(self, tmp_path: Path) -> None:
        with Bench.on(tmp_path / "db", options=Options(parallel_notebooks=1)) as bench:
            run_id = bench.run(bench.create(job(task("a"), task("b")), a="wait", b="wait"))
            bench.execution(0)
            bench.until(run_id, lambda run: "RUNNING" in life_cycles(run).values())
            assert sorted(life_cycles(bench.runs.run(run_id)).values()) == ["PENDING", "RUNNING"]
            bench.execution(0).ended.set()
            bench.execution(1).ended.set()
            assert bench.finished(run_id).state == states.SUCCEEDED

    def test_secrets_reach_the_environment_of_a_cluster(self, bench: Bench) -> None:
        bench.store.secrets.add_scope("s", "me")
        bench.store.secrets.put("s", "k", b"hidden", now())
        variables = {"TOKEN": "{{secrets/s/k}}", "PLAIN": "x"}
        cluster = {"num_workers": 1, "spark_env_vars": variables}
        settings = job(task("a", job_cluster_key=None, new_cluster=cluster))
        bench.finished(bench.run(bench.create(settings)))
        request = bench.execution(0).request
        assert request.environment == {"TOKEN": "hidden", "PLAIN": "x"}
        assert "hidden" not in repr(request)
        assert "hidden" not in json.dumps(settings)
        bench.store.secrets.delete("s", "k")
        run = bench.finished(bench.run(bench.create(settings)))
        assert run.latest["a"].state.code == "CLUSTER_ERROR"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (task("a", notebook_task=None), "does not specify a task type"),
        ({**task("a"), **run_job("a", 1)}, "can only have one of"),
        (
            {"task_key": "a", "for_each_task": {"inputs": "[]", "task": for_each("b", "[]", 1)}},
            "inside its",
        ),
        (condition("a", left="{{job.nothing}}", right=""), "{{job.nothing}} is not known"),
        (condition("a", left="{{tasks.z.run_id}}", right=""), "{{tasks.z.run_id}} is not known"),
    ],
)
def test_tasks_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        job({name: value for name, value in settings.items() if value is not None})
    assert message in refused.value.message
