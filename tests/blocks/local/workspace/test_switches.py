"""What the cloud leaves open: each switch changes what a client sees."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace import tokens
from blocks.local.workspace.api.workspace import ImportRequest, WorkspaceApi
from blocks.local.workspace.clock import now
from blocks.local.workspace.errors import ApiError
from blocks.local.workspace.repair import RepairChoice
from blocks.local.workspace.runs import Parameters
from blocks.local.workspace.switches import Switches, parse_switches
from tests.blocks.local.workspace.fake import Bench, job, life_cycles, results, task

With = Callable[..., Any]


@pytest.fixture
def bench_with(tmp_path: Path) -> With:
    """Give a bench whose switches are set as on the command line."""

    @contextmanager
    def make(*texts: str) -> Iterator[Bench]:
        with Bench.on(tmp_path / "-".join(("db", *texts)), parse_switches(texts)) as bench:
            yield bench

    return make


def refused(call: Callable[[], object]) -> tuple[int, str | int]:
    with pytest.raises(ApiError) as error:
        call()
    return error.value.status, error.value.error_code


INVALID = (400, "INVALID_PARAMETER_VALUE")


class TestCommandLine:
    def test_values_of_every_type(self) -> None:
        texts = ["repair_of_submitted_runs=true", "max_repairs=3", "unknown_run_status=404"]
        assert parse_switches(texts) == Switches(
            repair_of_submitted_runs=True, max_repairs=3, unknown_run_status="404"
        )
        assert parse_switches([]) == Switches()

    @pytest.mark.parametrize("text", ["nothing=1", "max_repairs", "=", ""])
    def test_names_that_are_none_are_answered_with_those_that_are(self, text: str) -> None:
        with pytest.raises(ValueError, match="repair_inherits_parameters, repair_of_sub"):
            parse_switches([text])

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("max_repairs=-1", "'-1'.*greater than or equal to 0"),
            ("tokens_shared_by_jobs=perhaps", "'perhaps'.*valid boolean"),
            ("unselected_tasks=GONE", "'left_out', 'EXCLUDED' or 'DISABLED'"),
        ],
    )
    def test_values_that_are_none(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            parse_switches([text])

    @given(st.sampled_from(sorted(Switches.model_fields)), st.text())
    def test_any_value_is_taken_or_refused_with_its_name(self, name: str, value: str) -> None:
        try:
            parse_switches([f"{name}={value}"])
        except ValueError as error:
            assert f"The switch {name} cannot be" in str(error)  # noqa: PT017 (or it is taken)


class TestRepair:
    def test_of_an_active_run(self, bench_with: With) -> None:
        for texts, code in (
            ((), "INVALID_PARAMETER_VALUE"),
            (("active_run_error_code=INVALID_STATE",), "INVALID_STATE"),
        ):
            with bench_with(*texts) as bench:
                run_id = bench.run(bench.create(job(task("a")), a="wait"))
                assert refused(lambda: bench.repair(run_id, "a")) == (400, code)  # noqa: B023
                assert refused(lambda: bench.runs.delete(run_id)) == (400, code)  # noqa: B023
                bench.runs.cancel(run_id)
                bench.finished(run_id)

    def test_without_a_selector(self, bench_with: With) -> None:
        with bench_with() as bench:
            run_id = bench.run(bench.create(job(task("a")), a="fail x"))
            bench.finished(run_id)
            assert refused(lambda: bench.repair(run_id)) == INVALID
        with bench_with("repair_without_selector=all_failed") as bench:
            run_id = bench.run(bench.create(job(task("a"), task("b")), a="fail x"))
            bench.finished(run_id)
            bench.repair(run_id)
            expected = {"a": ["FAILED", "FAILED"], "b": ["SUCCESS"]}
            assert results(bench.finished(run_id)) == expected

    def test_of_tasks_that_came_or_went(self, bench_with: With) -> None:
        def changed(bench: Bench) -> int:
            job_id = bench.create(job(task("a"), task("gone")), a="fail x", gone="fail x")
            run_id = bench.run(job_id)
            bench.finished(run_id)
            bench.notebook("new", "ok")
            bench.store.jobs.change(job_id, job(task("a"), task("new", "a")))
            return run_id

        with bench_with() as bench:
            run_id = changed(bench)
            assert refused(lambda: bench.repair(run_id, "a", "new")) == INVALID
            assert refused(lambda: bench.repair(run_id, "a", "gone")) == INVALID
        with bench_with("repair_of_added_tasks=1", "repair_of_removed_tasks=left_out") as bench:
            run_id = changed(bench)
            bench.notebook("a", "ok")
            bench.repair(run_id, "a", "new", "gone")
            run = bench.finished(run_id)
            expected = {"a": ["FAILED", "SUCCESS"], "gone": ["FAILED"], "new": ["SUCCESS"]}
            assert results(run) == expected
            assert refused(lambda: bench.repair(run_id, "gone")) == INVALID

    def test_again_and_again(self, bench_with: With) -> None:
        with bench_with("max_repairs=1") as bench:
            run_id = bench.run(bench.create(job(task("a")), a="fail x"))
            bench.finished(run_id)
            bench.repair(run_id, "a")
            bench.finished(run_id)
            assert refused(lambda: bench.repair(run_id, "a")) == INVALID

    def test_of_a_job_with_one_task(self, bench_with: With) -> None:
        with bench_with("repair_of_single_task_jobs=false") as bench:
            run_id = bench.run(bench.create(job(task("a")), a="fail x"))
            bench.finished(run_id)
            assert refused(lambda: bench.repair(run_id, "a")) == INVALID

    def test_of_a_submitted_run(self, bench_with: With) -> None:
        for texts, allowed in (((), False), (("repair_of_submitted_runs=on",), True)):
            with bench_with(*texts) as bench:
                bench.notebook("a", "fail x")
                run_id = bench.runs.submit(job(task("a")))
                bench.finished(run_id)
                if allowed:
                    bench.repair(run_id, "a")
                    assert results(bench.finished(run_id)) == {"a": ["FAILED", "FAILED"]}
                else:
                    assert refused(lambda: bench.repair(run_id, "a")) == INVALID  # noqa: B023


class TestRuns:
    def test_that_do_not_exist(self, bench_with: With) -> None:
        with bench_with() as bench:
            assert refused(lambda: bench.runs.run_or_owner(1)) == INVALID
        with bench_with("unknown_run_status=404") as bench:
            for call in (bench.runs.run, bench.runs.run_or_owner, bench.runs.delete):
                assert refused(lambda: call(1)) == (404, "RESOURCE_DOES_NOT_EXIST")  # noqa: B023

    @pytest.mark.parametrize("shown", ["left_out", "EXCLUDED", "DISABLED"])
    def test_tasks_that_only_leaves_out(self, bench_with: With, shown: str) -> None:
        with bench_with(f"unselected_tasks={shown}") as bench:
            job_id = bench.create(job(task("a"), task("b", "a"), task("c", "b")), b="fail x")
            run_id = bench.runs.run_now(job_id, Parameters(), only=("b",))
            run = bench.finished(run_id)
            others = {} if shown == "left_out" else {"a": [shown], "c": [shown]}
            assert results(run) == {"b": ["FAILED"], **others}
            bench.notebook("b", "ok")
            choice = RepairChoice(rerun_all_failed_tasks=True)
            bench.runs.repair(run_id, choice, Parameters())
            run = bench.finished(run_id)
            assert results(run) == {"b": ["FAILED", "SUCCESS"], **others}
            assert run.state.result == "SUCCESS"

    @pytest.mark.parametrize("shown", ["SKIPPED", "TERMINATED"])
    def test_tasks_whose_upstream_failed(self, bench_with: With, shown: str) -> None:
        with bench_with(f"upstream_failed_life_cycle={shown}") as bench:
            run_id = bench.run(bench.create(job(task("a"), task("b", "a")), a="fail x"))
            run = bench.finished(run_id)
            assert results(run)["b"] == ["UPSTREAM_FAILED"]
            assert life_cycles(run)["b"] == shown


class TestTokens:
    def test_one_name_space_or_one_for_each_job(self, bench_with: With) -> None:
        for texts, runs in (((), 1), (("tokens_shared_by_jobs=no",), 3)):
            with bench_with(*texts) as bench:
                jobs = [bench.create(job(task("a"))) for _ in range(2)]
                ids = [bench.runs.run_now(item, Parameters(), token="t") for item in jobs]
                ids.append(bench.runs.submit(job(task("a")), token="t"))
                assert len(set(ids)) == runs
                assert bench.runs.run_now(jobs[0], Parameters(), token="t") == ids[0]
                for run_id in ids:
                    bench.finished(run_id)

    def test_how_long_they_are_known(
        self, bench_with: With, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for texts, forgotten in (((), False), (("token_hours=2",), True)):
            with bench_with(*texts) as bench:
                job_id = bench.create(job(task("a")))
                begun, moment = bench.runs.run_now(job_id, Parameters(), token="t"), now()
                for hours, same in ((1, True), (3, not forgotten)):
                    later = moment + hours * 3600 * 1000
                    monkeypatch.setattr(tokens, "now", lambda later=later: later)
                    again = bench.runs.run_now(job_id, Parameters(), token="t")
                    assert (again == begun) is same
                    bench.finished(again)


class TestDeletedJobs:
    def test_their_runs_go_with_them_or_stay(self, bench_with: With) -> None:
        keep = ("deleting_a_job_deletes_its_runs=off", "deleting_a_job_cancels_its_runs=off")
        for texts, kept in (((), False), (keep, True)):
            with bench_with(*texts) as bench:
                job_id = bench.create(job(task("a"), max_concurrent_runs=2))
                over = bench.run(job_id)
                bench.finished(over)
                bench.notebook("a", "wait")
                active = bench.run(job_id)
                notebook = bench.execution(1)
                bench.store.jobs.delete(job_id)
                bench.runs.job_deleted(job_id)
                if kept:
                    assert bench.runs.run(over).state.result == "SUCCESS"
                    notebook.ended.set()
                    assert bench.finished(active).state.result == "SUCCESS"
                else:
                    assert refused(lambda: bench.runs.run(over)) == INVALID  # noqa: B023
                    assert bench.finished(active).state.result == "CANCELED"


def test_a_path_that_is_taken(bench: Bench) -> None:
    content = base64.b64encode(b"x").decode()
    request = ImportRequest(path="/a", format="RAW", content=content)
    for status in ("400", "409"):
        switches = parse_switches([f"taken_path_status={status}"])
        routes = WorkspaceApi(bench.store, bench.engine, switches).routes()
        take = next(item.handler for item in routes if item.path == "workspace/import")
        if status == "400":
            take(request, "2.0")
        assert refused(lambda: take(request, "2.0")) == (int(status), "RESOURCE_ALREADY_EXISTS")  # noqa: B023
