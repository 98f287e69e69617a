"""The block ``databricks-job``: a saved multi-task job and how to start it."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect.blocks.abstract import JobBlock
from prefect_databricks import DatabricksCredentials
from pydantic import Field

from blocks.databricks.client import JobsClient, is_transient
from blocks.databricks.errors import (
    ApiError,
    JobBusyError,
    JobSpecError,
    UnreachableError,
)
from blocks.databricks.run import DatabricksRun
from blocks.databricks.spec import (
    NotebookTask,
    check_tasks,
    job_settings,
    overridden_parameters,
    settings_differ,
    workspace_path,
)
from blocks.databricks.state import RunState, parse_run

_PROJECT_ROOT = Path(__file__).resolve().parents[2]


class DatabricksJob(JobBlock[dict[str, str]]):
    """Notebooks that run as one Databricks job on one shared job cluster.

    The job is saved in the workspace under its name: created when it is missing, reset when its
    definition changed, reused otherwise. Only a saved job can be repaired.

    Example:
        Run two notebooks, and run again only what failed:
        ```python
        from blocks.databricks import DatabricksJob, RepairPlan, RepairPolicy, plan_repair

        job = DatabricksJob.load("renewables")
        with job.trigger({"country": "Norway"}) as run:
            run.wait_for_completion()
            plan = plan_repair(run.state, RepairPolicy())
            if isinstance(plan, RepairPlan):
                run.repair(plan.task_keys, plan.latest_repair_id)
                run.wait_for_completion()
            print(run.fetch_result())
        ```
    """

    _block_type_name = "Databricks Job"
    _block_type_slug = "databricks-job"
    _description = "Notebooks that run as one Databricks job, and are repaired rather than re-run."
    # The logo that prefect-databricks uses for its own block.
    _logo_url = DatabricksCredentials._logo_url

    databricks_credentials: DatabricksCredentials = Field(
        description="The workspace, and who the job is started as."
    )
    job_name: str = Field(
        min_length=1, max_length=4096, description="Name of the saved job; one job has one name."
    )
    tasks: list[NotebookTask] = Field(
        description="The notebooks, and which of them wait for which."
    )
    parameters: dict[str, str] = Field(
        default={}, description="Job parameters and their defaults; a run may override them."
    )
    new_cluster: dict[str, Any] = Field(
        default={
            "spark_version": "16.4.x-scala2.12",
            "node_type_id": "i3.xlarge",
            "num_workers": 1,
        },
        description="The job cluster that all tasks share, as the Jobs API describes one.",
    )
    max_concurrent_runs: int = Field(
        default=10, ge=1, le=1000, description="Runs of the job that may be alive at once."
    )
    workspace_folder: str = Field(
        default="/Shared/prefect",
        pattern="^/.+",
        description="Workspace folder into which notebooks are uploaded.",
    )

    def trigger(  # type: ignore[override]  # synchronous, as flows are
        self,
        parameters: Mapping[str, str] | None = None,
        idempotency_token: str | None = None,
    ) -> DatabricksRun:
        """Upload the notebooks, bring the saved job up to date, and start a run.

        Args:
            parameters: Values for the job's parameters.
            idempotency_token: The same token gives the same run again (64 characters at most).
                By default every call starts a run of its own.

        Returns:
            The run; use it in a ``with`` block.

        Raises:
            JobSpecError: The definition cannot work; nothing was sent.
            JobBusyError: The definition changed while a run of the job is alive.
            ApiError: Databricks refused something.
            UnreachableError: Databricks could not be reached.
        """
        values = {**self.parameters, **(parameters or {})}
        token = idempotency_token or f"prefect-{uuid4()}"
        check_tasks(self.tasks, values, token)
        for warning in overridden_parameters(self.tasks, values):
            self.logger.warning(warning)
        sources = {task.task_key: _read(task) for task in self.tasks}
        with ExitStack() as on_error:
            client = on_error.enter_context(JobsClient(self.databricks_credentials))
            job_id = _ensure_job(client, self._upload(client, sources))
            try:
                run = DatabricksRun(client, client.run_now(job_id, values, token), values)
            except Exception:
                raise
            except BaseException:
                # Interrupted while it started: the token tells which run that was, or would be.
                client.cancel_run(client.run_now(job_id, values, token))
                raise
            on_error.pop_all()
        return run

    def attach(self, run_id: int) -> DatabricksRun:
        """Take up a run that was started before; nothing is uploaded and nothing is changed.

        Repairs send the job parameters again that the run shows.

        Args:
            run_id: The run's id.

        Returns:
            The run; use it in a ``with`` block. Its :meth:`~DatabricksRun.watch` does not tell
            again what has ended already.

        Raises:
            ApiError: Databricks refused it; 400 when there is no such run (any more).
            UnreachableError: Databricks could not be reached.
        """
        with ExitStack() as on_error:
            client = on_error.enter_context(JobsClient(self.databricks_credentials))
            run = DatabricksRun(client, run_id, {})
            run.change_parameters(run.state.job_parameters)
            run.skip_ended()
            on_error.pop_all()
        return run

    def live_runs(self) -> list[RunState]:
        """Return the runs of the saved job that have not ended; empty when there is no such job.

        Raises:
            ApiError: Databricks refused to list them.
            UnreachableError: Databricks could not be reached.
        """
        with JobsClient(self.databricks_credentials) as client:
            return [
                parse_run(client.get_run(run_id))
                for job in client.find_jobs(self.job_name)
                for run_id in client.active_runs(int(job["job_id"]))
            ]

    def _upload(self, client: JobsClient, sources: Mapping[str, str]) -> dict[str, Any]:
        """Store each notebook under its content's hash; return the job's settings with them."""
        paths = {}
        for task in self.tasks:
            source = sources[task.task_key]
            path = workspace_path(self.workspace_folder, Path(task.notebook).stem, source)
            if not client.workspace_object_exists(path):
                client.import_notebook(path, source)
            paths[task.task_key] = path
        return job_settings(
            job_name=self.job_name,
            tasks=self.tasks,
            notebook_paths=paths,
            parameters=self.parameters,
            new_cluster=self.new_cluster,
            max_concurrent_runs=self.max_concurrent_runs,
        )


def _read(task: NotebookTask) -> str:
    path = _PROJECT_ROOT / task.notebook  # an absolute path stays as it is
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise JobSpecError(
            f"Task {task.task_key!r} names the notebook {task.notebook!r}, which cannot be read "
            f"({error.strerror}). Paths are relative to the project's root."
        ) from error


def _create_job(client: JobsClient, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Create the saved job, and return all of its name; the oldest is the one to use."""
    name = str(settings["name"])
    try:
        created = client.create_job(settings)
    except (ApiError, UnreachableError) as error:
        # The answer may have been lost after the job was made: then it is found below.
        if not is_transient(error):
            raise
        created = None
    # Two flow runs may both have found none: the oldest job is the one that all agree on.
    jobs = client.find_jobs(name)
    if not jobs:
        raise UnreachableError(
            f"Databricks did not answer when job {name!r} was created; try again."
        )
    if created is not None and jobs[0]["job_id"] != created:
        client.delete_job(created)
    return jobs


def _ensure_job(client: JobsClient, settings: Mapping[str, Any]) -> int:
    """Return the id of the saved job of this name, created or reset as needed."""
    name = str(settings["name"])
    jobs = client.find_jobs(name) or _create_job(client, settings)
    job_id = int(jobs[0]["job_id"])
    if settings_differ(settings, client.get_job(job_id)["settings"]):
        if alive := client.active_runs(job_id):
            raise JobBusyError(
                f"Job {name!r} has changed, but its run {alive[0]} is still alive and would be "
                "repaired with the new settings. Wait until it has ended, or cancel it."
            )
        client.reset_job(job_id, settings)
    return job_id
