"""A job run from launch to verdict, on a local workspace that does what clouds do to clients."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import (
    ApiError,
    ClusterChanges,
    DatabricksJob,
    DatabricksRun,
    JobBusyError,
    Launch,
    NotebookTask,
    Outcome,
    RepairError,
    RunLostError,
    differences,
)
from blocks.local.workspace.testing import RunningWorkspace
from tests.blocks.databricks.scripted import Scripted, ok

HEADER = "# Databricks notebook source\n"
SAY = HEADER + "dbutils.notebook.exit(dbutils.widgets.get('country') + ' from ' + '{key}')\n"
SLEEP = HEADER + "import time\ntime.sleep(60)\n"

MakeJob = Callable[..., DatabricksJob]


@pytest.fixture
def make_job(workspace: RunningWorkspace, tmp_path: Path) -> MakeJob:
    """Make a job of two notebooks, ``first`` and ``second``, that say their country."""

    def make(**notebooks: str) -> DatabricksJob:
        tasks = []
        for key, upstream in (("first", []), ("second", ["first"])):
            path = tmp_path / f"{key}.py"
            path.write_text(notebooks.get(key, SAY.replace("{key}", key)))
            tasks.append(NotebookTask(task_key=key, notebook=str(path), depends_on=upstream))
        return DatabricksJob(
            databricks_credentials=DatabricksCredentials(
                databricks_instance=workspace.host,
                token=workspace.token,
                client_kwargs={"verify": str(workspace.ca_file)},
            ),
            job_name="two notebooks",
            tasks=tasks,
            parameters={"country": "nowhere"},
        )

    return make


def attempts(run: DatabricksRun) -> list[tuple[str, int, str]]:
    found = [(a.task_key, a.attempt_number, a.outcome.value) for a in run.state.attempts]
    return sorted(found)


def test_a_run_is_watched_and_its_results_are_fetched(make_job: MakeJob) -> None:
    with make_job().trigger({"country": "Norway"}) as run:
        seen = [(attempt.task_key, attempt.outcome) for attempt in run.watch()]
        assert run.state.outcome is Outcome.SUCCEEDED
        assert run.fetch_result() == {
            "first": "Norway from first",
            "second": "Norway from second",
        }
    assert [key for key, outcome in seen if outcome is Outcome.SUCCEEDED] == ["first", "second"]
    assert len(seen) == len(set(seen))


def test_nobody_looks_at_a_run_after_its_deadline(make_job: MakeJob) -> None:
    with make_job(first=SLEEP).trigger() as run:
        seen = [each.task_key for each in run.watch(until=time.time() + 3)]
        assert "first" in seen
        assert not run.state.outcome.ended
        run.cancel()
        assert {(each.task_key, each.outcome) for each in run.watch()} == {
            ("first", Outcome.CANCELED),
            ("second", Outcome.UPSTREAM_CANCELED),
        }


def test_a_repair_runs_only_what_it_is_told_to_with_the_same_parameters(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second", error="ValueError: boom", times=2)
    with make_job().trigger({"country": "Norway"}) as run:
        run.wait_for_completion()
        (cause,) = run.state.causes
        failure = run.failure(cause)
        assert failure.error == "ValueError: boom"
        first = run.repair(["second"], None)
        run.wait_for_completion()
        second = run.repair(["second"], first)
        run.wait_for_completion()
        assert run.state.latest_repair_id == second
        assert run.fetch_result()["second"] == "Norway from second"
        assert attempts(run) == [
            ("first", 0, "succeeded"),
            ("second", 0, "failed"),
            ("second", 1, "failed"),
            ("second", 2, "succeeded"),
        ]
    bodies: list[Any] = [each.body for each in workspace.journal("POST jobs/runs/repair")]
    assert [body.get("latest_repair_id") for body in bodies] == [None, first]
    assert all(body["rerun_tasks"] == ["second"] for body in bodies)
    assert all(body["job_parameters"]["country"] == "Norway" for body in bodies)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_never_starts_a_second_run(
    when: str, make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("cut", endpoint="POST jobs/run-now", when=when)
    with make_job().trigger() as run:
        run.wait_for_completion()
        job_id = run.state.job_id
    with workspace.client() as client:
        listed = client.get("/api/2.2/jobs/runs/list", params={"job_id": job_id}).json()
    assert [each["run_id"] for each in listed["runs"]] == [run.run_id]
    assert len(workspace.journal("POST jobs/run-now")) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_never_repairs_twice(
    when: str, make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    workspace.faults.add("cut", endpoint="POST jobs/runs/repair", when=when)
    with make_job().trigger() as run:
        run.wait_for_completion()
        run.repair(["second"], None)
        run.wait_for_completion()
        assert run.state.outcome is Outcome.SUCCEEDED
        assert run.state.repairs == 1


def test_a_repair_that_is_refused_for_now_is_sent_again_when_it_is_time(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    workspace.faults.add("too_many_requests", endpoint="POST jobs/runs/repair", retry_after=3)
    with make_job().trigger() as run:
        run.wait_for_completion()
        run.repair(["second"], None)
        run.cancel()
    journal = workspace.journal()
    refused = next(number for number, each in enumerate(journal) if each.status == 429)
    again = journal[refused + 1]
    assert again.path.endswith("jobs/runs/repair")
    assert again.time - journal[refused].time >= 3000


@pytest.mark.slow
def test_stale_reads_after_a_repair_are_no_verdict(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    """One run with 21 repairs, each of which is hidden for one more read than the one before."""
    workspace.faults.add("exception", task="second", times=21)
    with make_job().trigger() as run:
        run._sleep = lambda seconds: None
        run.wait_for_completion()
        repair_id = None
        for reads in range(21):
            if reads:
                workspace.faults.add("stale_reads", times=reads)
            repair_id = run.repair(["second"], repair_id)
            seen = list(run.watch())
            assert {each.attempt_number for each in seen} == {reads + 1}
        assert run.state.outcome is Outcome.SUCCEEDED
        assert run.state.repairs == 21
    assert len(workspace.journal("POST jobs/runs/repair")) == 21
    struck = [each for each in workspace.journal("GET jobs/runs/get") if each.fault]
    assert len(struck) == sum(range(21))


def test_stale_reads_after_a_lost_answer_are_no_verdict(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    workspace.faults.add("cut", endpoint="POST jobs/runs/repair", when="after")
    workspace.faults.add("stale_reads", times=20)
    with make_job().trigger() as run:
        run._sleep = lambda seconds: None
        run.wait_for_completion()
        run.repair(["second"], None)
        run.wait_for_completion()
        assert run.state.outcome is Outcome.SUCCEEDED
        assert run.state.repairs == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_never_makes_a_second_job(
    when: str, make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("cut", endpoint="POST jobs/create", when=when)
    with make_job().trigger() as run:
        run.wait_for_completion()
    with workspace.client() as client:
        jobs = client.get("/api/2.2/jobs/list").json()["jobs"]
    assert len(jobs) == 1


def test_cancel_returns_when_the_run_has_ended(make_job: MakeJob) -> None:
    with make_job(first=SLEEP).trigger() as run:
        run.cancel()
        assert run.state.outcome is Outcome.CANCELED
        run.cancel()


def test_no_repair_is_sent_after_a_cancel(make_job: MakeJob, workspace: RunningWorkspace) -> None:
    workspace.faults.add("exception", task="second")
    with make_job().trigger() as run:
        run.wait_for_completion()
        run.cancel()
        assert run.state.outcome is Outcome.FAILED
        with pytest.raises(RepairError, match="cancelled"):
            run.repair(["second"], None)
    assert workspace.journal("POST jobs/runs/repair") == []


def test_a_repair_that_does_not_show_yet_is_cancelled_too(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    workspace.faults.add("stale_reads", times=1)
    with make_job(second=SLEEP).trigger() as run:
        run.wait_for_completion()
        run._client.repair_run(run.run_id, ["second"], None, {})
        run.cancel()
        run._sleep(3)
        assert run.refresh().outcome is Outcome.CANCELED


def test_a_repair_that_was_seen_is_never_taken_back(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second", times=3)
    # Every other look is answered by a replica that is behind.
    workspace.faults.add("stale_reads", probability=0.5, times=60)
    with make_job().trigger() as run:
        run.wait_for_completion()
        latest = None
        for repairs in (1, 2, 3):
            latest = run.repair(["second"], latest)
            run.wait_for_completion()
            assert run.state.repairs == repairs
        assert run.state.outcome is Outcome.SUCCEEDED
    assert len(workspace.journal("POST jobs/runs/repair")) == 3


def a_run(life_cycle: str, result: str | None = None) -> tuple[int, Any, dict[str, str]]:
    state = {"life_cycle_state": life_cycle, "result_state": result}
    stopped = {"user_cancelled_or_timedout": True}
    return ok({"run_id": 7, "job_id": 1, "state": state | stopped})


def test_a_run_that_is_ending_is_taken_up_as_it_ends(server: Scripted) -> None:
    job = DatabricksJob(databricks_credentials=server.credentials, job_name="ending", tasks=[])
    server.answers = [a_run("RUNNING"), a_run("TERMINATING"), a_run("TERMINATED", "CANCELED")]
    with job.attach(7) as run:
        assert run.state.outcome is Outcome.CANCELED
    assert server.answers == []


def test_a_cancel_does_not_wait_for_the_answer_to_a_repair_and_ends_what_that_started(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    workspace.faults.add("delay", endpoint="POST jobs/runs/repair", when="before", seconds=5)
    workspace.faults.add("stale_reads", times=3)
    with make_job(second=SLEEP).trigger() as run:
        run.wait_for_completion()
        repairing = threading.Thread(target=run.repair, args=(["second"], None), daemon=True)
        repairing.start()
        while not workspace.faults.armed()[1]["struck"]:
            time.sleep(0.1)
        run.cancel()
        assert run.state.outcome is Outcome.CANCELED
        assert run.state.repairs == 1
        repairing.join(timeout=30)
        assert not repairing.is_alive()
    paths = [each.path.rpartition("/")[2] for each in workspace.journal("POST jobs/runs/*")]
    assert sorted(paths) == ["cancel", "cancel", "repair"]


@pytest.mark.parametrize("fault", ["unavailable", "expired_token"])
def test_a_history_that_cannot_be_read_does_not_blind_the_watch(
    fault: str, make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add(fault, endpoint="GET jobs/runs/list", times=1000)
    with make_job().trigger() as run:
        run.wait_for_completion()
        assert run.state.outcome is Outcome.SUCCEEDED
    assert len(workspace.journal("GET jobs/runs/list")) == 1


def test_a_run_that_is_started_and_cannot_be_read_is_not_left_alone(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    job = make_job(first=SLEEP)
    launch = job.prepare()
    workspace.faults.add("expired_token", endpoint="GET jobs/runs/get")
    with pytest.raises(RunLostError, match="was started, but cannot be read, and so was cancelled"):
        job.start(launch)
    with job.start(launch) as run:
        assert run.state.outcome is Outcome.CANCELED
    assert len(workspace.journal("POST jobs/run-now")) == 2


def test_a_run_that_not_every_replica_knows_is_looked_for_again(server: Scripted) -> None:
    job = DatabricksJob(databricks_credentials=server.credentials, job_name="new", tasks=[])
    unknown = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Run 7 does not exist."}
    server.answers = [ok({"run_id": 7}), (400, unknown, {}), ok({"run_id": 7, "job_id": 1})]
    with job.start(Launch(1, {}, {}, "token")) as run:
        assert run.state.job_id == 1


def test_the_notebook_parameters_of_a_run_of_others_are_sent_again(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    job = make_job(second=HEADER + "dbutils.notebook.exit(dbutils.widgets.get('who'))\n")
    job = job.model_copy(update={"parameters": {}, "tasks": job.tasks[1:]})
    job.tasks[0].depends_on.clear()
    workspace.faults.add("exception", task="second")
    with workspace.client() as client:
        body = {"job_id": job.prepare().job_id, "notebook_params": {"who": "somebody else"}}
        run_id = client.post("/api/2.2/jobs/run-now", json=body).json()["run_id"]
    with job.attach(run_id) as run:
        run.wait_for_completion()
        run.repair(["second"], None)
        run.wait_for_completion()
        assert run.fetch_result() == {"second": "somebody else"}
    (repair,) = workspace.journal("POST jobs/runs/repair")
    assert "job_parameters" not in repair.body


def test_a_long_error_is_cut(make_job: MakeJob) -> None:
    with make_job(first=HEADER + "raise ValueError('boom ' * 500_000)").trigger() as run:
        run.wait_for_completion()
        (cause,) = run.state.causes
        failure = run.failure(cause)
    assert failure.error.startswith("ValueError: boom")
    assert len(failure.error) == 2_000
    assert 0 < len(failure.trace) <= 20_000


def test_a_failed_task_that_has_no_output_is_known_by_its_state(server: Scripted) -> None:
    job = DatabricksJob(databricks_credentials=server.credentials, job_name="loop", tasks=[])
    state = {"life_cycle_state": "INTERNAL_ERROR", "result_state": "FAILED"}
    loop = {"task_key": "loop", "run_id": 8, "start_time": 5}
    loop["state"] = {**state, "state_message": "2 of 3 iterations failed."}
    refused = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Retrieving is not supported."}
    server.answers = [ok({"run_id": 7, "state": state, "tasks": [loop]}), (400, refused, {})]
    with job.attach(7) as run:
        (attempt,) = run.state.causes
        assert run.failure(attempt).error == "2 of 3 iterations failed."


def test_the_saved_job_is_reused_and_reset_only_when_it_changed(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    job = make_job()
    for _ in range(2):
        with job.trigger() as run:
            run.wait_for_completion()
    assert len(workspace.journal("POST jobs/create")) == 1
    assert workspace.journal("POST jobs/reset") == []
    before = run.state.job_id
    with make_job(second=HEADER + "print(1)\n").trigger() as run:
        run.wait_for_completion()
    assert run.state.job_id == before
    assert len(workspace.journal("POST jobs/reset")) == 1
    assert len(workspace.journal("POST workspace/import")) == 3


def test_a_job_is_never_reset_under_a_live_run(make_job: MakeJob) -> None:
    with make_job(first=SLEEP).trigger() as run:
        with pytest.raises(JobBusyError, match=str(run.run_id)):
            make_job().trigger()
        run.cancel()


def test_only_a_change_of_the_cluster_is_sent(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    with make_job().trigger() as run:
        run.cancel()
        for node_type in ("i3.xlarge", "i3.4xlarge", "i3.4xlarge"):
            run.change_cluster(ClusterChanges(node_type_id=node_type))
    (reset,) = workspace.journal("POST jobs/reset")
    (cluster,) = reset.body["new_settings"]["job_clusters"]
    assert cluster["new_cluster"]["node_type_id"] == "i3.4xlarge"


def test_an_edit_of_the_job_shows(make_job: MakeJob, workspace: RunningWorkspace) -> None:
    with make_job().trigger() as run:
        run.wait_for_completion()
        before = run.job_settings()
        with workspace.client() as client:
            change = {"job_id": run.state.job_id, "new_settings": {"timeout_seconds": 77}}
            client.post("/api/2.2/jobs/update", json=change).raise_for_status()
        assert list(differences(before, run.job_settings())) == ["timeout_seconds: 0 is now 77"]


def test_a_refused_repair_says_why(make_job: MakeJob) -> None:
    with make_job().trigger() as run:
        run.wait_for_completion()
        run._sleep = lambda seconds: None
        with pytest.raises(RepairError, match=str(run.run_id)):
            run.repair(["no such task"], None)


def test_attach_takes_up_a_run_without_changing_anything(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    job = make_job()
    with job.trigger({"country": "Norway"}) as run:
        run.wait_for_completion()
    posts = len(workspace.journal("POST *"))
    with job.attach(run.run_id) as again:
        assert list(again.watch()) == []
        assert len(workspace.journal("POST *")) == posts
        again.repair(["second"], None)
        again.wait_for_completion()
        assert again.fetch_result()["second"] == "Norway from second"
    with pytest.raises(ApiError, match="does not exist"):
        job.attach(123456789)


def test_a_failure_from_before_is_known_and_a_missing_job_is_noticed(
    make_job: MakeJob, workspace: RunningWorkspace
) -> None:
    workspace.faults.add("exception", task="second")
    job = make_job()
    with job.trigger() as run:
        run.wait_for_completion()
    with job.attach(run.run_id) as again:
        ended = [(each.task_key, each.outcome) for each in again.already_ended]
        assert sorted(ended) == [("first", Outcome.SUCCEEDED), ("second", Outcome.FAILED)]
        assert again.job_exists()
        with workspace.client() as client:
            body = {"job_id": again.state.job_id}
            client.post("/api/2.2/jobs/delete", json=body).raise_for_status()
        assert not again.job_exists()
