"""Every option of a job reaches a workspace, and is sent once."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import DatabricksJob, DatabricksRun, JobSpecError, Outcome
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from tests.blocks.databricks.specs import make_task

HEADER = "# Databricks notebook source\n"
SAY = HEADER + "dbutils.notebook.exit(dbutils.widgets.get('text'))\n"
FAIL = HEADER + "raise ValueError('no data')\n"
CLUSTER = {"num_workers": 1, "spark_version": "16.4.x-scala2.12", "node_type_id": "m5.large"}
SERVERLESS = {"environment_version": "4"}
NOTIFICATIONS = {
    "email_notifications": {"on_failure": ["me@example.com"]},
    "webhook_notifications": {"on_failure": [{"id": "w"}]},
    "notification_settings": {"no_alert_for_canceled_runs": True},
}

MakeJob = Callable[..., DatabricksJob]


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    """One workspace for all tests here; each makes a job of its own."""
    with running_workspace(tmp_path_factory.mktemp("options"), "--faults") as running:
        yield running


@pytest.fixture
def make_job(shared_workspace: RunningWorkspace, tmp_path: Path) -> MakeJob:
    """Make a job; its tasks ``a`` and ``b`` say a text, unless it is given others."""
    (tmp_path / "say.py").write_text(SAY)
    (tmp_path / "fail.py").write_text(FAIL)

    def make(**fields: Any) -> DatabricksJob:
        tasks = fields.pop("tasks", {"a": {}, "b": {"depends_on": ["a"]}})
        return DatabricksJob(
            databricks_credentials=DatabricksCredentials(
                databricks_instance=shared_workspace.host,
                token=shared_workspace.token,
                client_kwargs={"verify": str(shared_workspace.ca_file)},
            ),
            job_name=f"options {uuid4()}",
            tasks=[
                make_task(
                    key,
                    **{"notebook": str(tmp_path / "say.py"), "parameters": {"text": key}, **task},
                )
                for key, task in tasks.items()
            ],
            **fields,
        )

    return make


def results(run: DatabricksRun) -> dict[str, str]:
    with run:
        run.wait_for_completion()
        assert run.state.outcome is Outcome.SUCCEEDED
        return run.fetch_result()


def changes(workspace: RunningWorkspace) -> list[str]:
    """Return the requests that changed a job, since the journal was cleared."""
    seen = workspace.journal("POST jobs/*") + workspace.journal("PUT *")
    return [f"{item.method} {item.path}" for item in seen if "run" not in item.path]


@pytest.mark.parametrize(
    ("fields", "task", "expected", "expected_of_task"),
    [
        pytest.param(
            {"job_clusters": {"shared": CLUSTER, "big": {**CLUSTER, "num_workers": 8}}},
            {"job_cluster_key": "big"},
            {
                "job_clusters": [
                    {"job_cluster_key": "shared", "new_cluster": CLUSTER},
                    {"job_cluster_key": "big", "new_cluster": {**CLUSTER, "num_workers": 8}},
                ]
            },
            {"job_cluster_key": "big"},
            id="several job clusters",
        ),
        pytest.param(
            {"existing_cluster_id": "1122-101010-abcdefgh"},
            {},
            {},
            {"existing_cluster_id": "1122-101010-abcdefgh"},
            id="an existing cluster",
        ),
        pytest.param({"job_clusters": {}}, {}, {}, {}, id="serverless"),
        pytest.param(
            {"job_clusters": {}, "environments": {"shared": SERVERLESS, "other": SERVERLESS}},
            {"environment_key": "other", "packages": ["tabulate==0.9.0"]},
            {
                "environments": [
                    {"environment_key": "shared", "spec": SERVERLESS},
                    {
                        "environment_key": "other",
                        "spec": {**SERVERLESS, "dependencies": ["tabulate==0.9.0"]},
                    },
                ]
            },
            {"environment_key": "other"},
            id="serverless with environments",
        ),
        pytest.param(
            {
                "packages": ["tabulate==0.9.0"],
                "timeout_seconds": 600,
                "tags": {"team": "data"},
                "max_concurrent_runs": 2,
                **NOTIFICATIONS,
                "run_as": {"service_principal_name": "1234"},
                "extra_settings": {
                    "description": "More.",
                    "queue": {"enabled": False},
                    "unknown_to_this_server": 1,
                    "job_clusters": [
                        {
                            "job_cluster_key": "shared",
                            "new_cluster": {"apply_policy_default_values": True},
                        }
                    ],
                    "tasks": [{"task_key": "b", "timeout_seconds": 60}],
                },
            },
            {
                "packages": ["six"],
                "run_if": "ALL_DONE",
                "extra_settings": {"max_retries": 0, "retry_on_timeout": False},
            },
            {
                "timeout_seconds": 600,
                "max_concurrent_runs": 2,
                **NOTIFICATIONS,
                "run_as": {"service_principal_name": "1234"},
                "description": "More.",
                "queue": {"enabled": False},
            },
            {
                "libraries": [
                    {"pypi": {"package": "tabulate==0.9.0"}},
                    {"pypi": {"package": "six"}},
                ],
                "run_if": "ALL_DONE",
                "max_retries": 0,
                "timeout_seconds": 60,
            },
            id="all that is not about compute",
        ),
    ],
)
def test_options_are_saved_and_a_second_run_changes_nothing(
    fields: dict[str, Any],
    task: dict[str, Any],
    expected: dict[str, Any],
    expected_of_task: dict[str, Any],
    make_job: MakeJob,
    shared_workspace: RunningWorkspace,
) -> None:
    job = make_job(tasks={"a": {}, "b": {"depends_on": ["a"], **task}}, **fields)
    with job.trigger() as first:
        saved = first.job_settings()
    shared_workspace.clear_journal()
    job.trigger().close()
    assert changes(shared_workspace) == []
    found = {name: saved[name] for name in expected}
    for cluster in found.get("job_clusters", ()):
        given = fields["job_clusters"][cluster["job_cluster_key"]]
        cluster["new_cluster"] = {name: cluster["new_cluster"][name] for name in given}
    assert found == expected
    (second,) = (each for each in saved["tasks"] if each["task_key"] == "b")
    assert second.items() >= expected_of_task.items()
    assert saved["tags"].items() >= fields.get("tags", {}).items()


@pytest.mark.slow
def test_each_task_runs_where_it_is_said_to(make_job: MakeJob) -> None:
    tasks: dict[str, Any] = {
        "a": {},
        "b": {},
        "c": {"job_cluster_key": "big"},
        "d": {"existing_cluster_id": "1122-101010-abcdefgh"},
        "e": {"environment_key": "ml"},
    }
    clusters = {"shared": CLUSTER, "big": CLUSTER}
    job = make_job(tasks=tasks, job_clusters=clusters, environments={"ml": SERVERLESS})
    with job.trigger() as run:
        run.wait_for_completion()
        shown = {each["task_key"]: each for each in run._client.get_run(run.run_id)["tasks"]}
    where = {key: task["cluster_instance"]["cluster_id"] for key, task in shown.items()}
    assert where["a"] == where["b"]
    assert where["d"] == "1122-101010-abcdefgh"
    assert len(set(where.values())) == 4
    assert shown["e"]["environment_key"] == "ml"


def test_who_may_do_what_is_set_and_kept(
    make_job: MakeJob, shared_workspace: RunningWorkspace
) -> None:
    team = {"group_name": "team", "permission_level": "CAN_MANAGE_RUN"}
    job = make_job(access_control_list=[team])

    def direct(job_id: int) -> dict[str, str]:
        with shared_workspace.client() as client:
            shown = client.get(f"/api/2.0/permissions/jobs/{job_id}").json()
        return {
            each.get("user_name") or each["group_name"]: permission["permission_level"]
            for each in shown["access_control_list"]
            for permission in each["all_permissions"]
            if not permission["inherited"]
        }

    with job.trigger() as run:
        job_id = run.state.job_id
    permissions = direct(job_id)
    assert sorted(permissions.values()) == ["CAN_MANAGE_RUN", "IS_OWNER"]
    shared_workspace.clear_journal()
    job.trigger().close()
    assert changes(shared_workspace) == []
    with shared_workspace.client() as client:
        other = {"group_name": "other", "permission_level": "CAN_VIEW"}
        body = {"access_control_list": [other]}
        path = f"/api/2.0/permissions/jobs/{job_id}"
        client.patch(path, json=body).raise_for_status()
    job.trigger().close()
    assert direct(job_id) == permissions
    assert changes(shared_workspace) == [f"PUT {path}"]


def test_notebooks_come_from_git_beside_uploaded_ones(
    make_job: MakeJob, shared_workspace: RunningWorkspace, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "jobs").mkdir(parents=True)
    (repository / "jobs" / "say.py").write_text(SAY.replace("get('text')", "get('text') + '!'"))
    for command in (
        ["init", "-q", "-b", "release"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    job = make_job(
        tasks={"a": {}, "b": {"source": "GIT", "notebook": "jobs/say"}},
        git_source={"git_url": str(repository), "git_branch": "release"},
    )
    shared_workspace.clear_journal()
    assert results(job.trigger()) == {"a": "a", "b": "b!"}
    looked_for = shared_workspace.journal("GET workspace/get-status")
    assert len(looked_for) == 1
    shared_workspace.clear_journal()
    job.trigger().close()
    assert changes(shared_workspace) == []


def test_a_job_may_fan_out_and_in_again(make_job: MakeJob, tmp_path: Path) -> None:
    """Five notebooks; one of the regions has no data, and the others make a report without it."""
    region = {"depends_on": ["load"]}
    job = make_job(
        tasks={
            "load": {},
            "north": {**region, "parameters": {"text": "{{tasks.load.result_state}}"}},
            "south": {**region, "notebook": str(tmp_path / "fail.py")},
            "alarm": {"depends_on": ["south"], "run_if": "AT_LEAST_ONE_FAILED"},
            "report": {
                "depends_on": ["north", "south"],
                "run_if": "AT_LEAST_ONE_SUCCESS",
                "parameters": {"text": "{{tasks.south.result_state}}"},
            },
        },
    )
    with job.trigger() as run:
        run.wait_for_completion()
        outcomes = {key: attempt.outcome for key, attempt in run.state.current.items()}
        assert outcomes.pop("south") is Outcome.FAILED
        assert set(outcomes.values()) == {Outcome.SUCCEEDED}
        assert run.fetch_result() == {
            "load": "load",
            "north": "success",
            "alarm": "alarm",
            "report": "failed",
        }


def test_every_problem_is_said_and_nothing_is_sent(
    make_job: MakeJob, shared_workspace: RunningWorkspace
) -> None:
    job = make_job(
        tasks={"a": {"notebook": "missing.py"}, "b": {"environment_key": "ml"}},
        packages=["pandas==2", "Pandas @ https://me:hidden-word@example.com/pandas.zip"],
    )
    shared_workspace.clear_journal()
    with pytest.raises(JobSpecError) as caught:
        job.trigger()
    for said in ("'missing.py'", "environment 'ml'", "'pandas' more than once"):
        assert said in str(caught.value)
    assert "hidden-word" not in str(caught.value)
    assert shared_workspace.journal() == []
