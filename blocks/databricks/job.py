"""The block ``databricks-job``: a saved multi-task job and how to start it."""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from uuid import uuid4

from prefect.blocks.abstract import JobBlock
from prefect_databricks import DatabricksCredentials
from pydantic import Field
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from blocks.databricks.checks import overridden_parameters, problems
from blocks.databricks.client import JobsClient
from blocks.databricks.errors import ApiError, DatabricksError, JobSpecError, RunLostError
from blocks.databricks.patience import Patience
from blocks.databricks.redaction import redact
from blocks.databricks.run import DatabricksRun, Launch
from blocks.databricks.saved_job import ensure_job
from blocks.databricks.settings import job_settings
from blocks.databricks.sources import read_notebooks, upload_notebooks
from blocks.databricks.spec import JobSpec
from blocks.databricks.state import RunState, parse_run

_FIRST_LOOKS = 10
# Who interrupts a start does not wait ten minutes for Databricks.
_LAST_TRY_SECONDS = 20.0


class DatabricksJob(JobBlock[dict[str, str]], JobSpec):
    """Notebooks that run as one Databricks job, by default on one job cluster that they share.

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
        return self.start(self.prepare(parameters, idempotency_token))

    def prepare(
        self,
        parameters: Mapping[str, str] | None = None,
        idempotency_token: str | None = None,
        patience: Patience | None = None,
    ) -> Launch:
        """Do all of :meth:`trigger` but start the run.

        Who writes the launch down before :meth:`start` can do that again after a crash, whatever
        has become of the job meanwhile, and has the same run.

        Args:
            parameters: Values for the job's parameters.
            idempotency_token: As for :meth:`trigger`, which says what is raised, too.
            patience: How long Databricks may go without an answer; ten minutes by default.
        """
        values = {**self.parameters, **(parameters or {})}
        token = idempotency_token or f"prefect-{uuid4()}"
        sources, unreadable = read_notebooks(self.tasks)
        if found := [*problems(self, values, token), *unreadable]:
            # A package may come from a URL with a password in it.
            raise JobSpecError(redact(f"The job cannot run: {'; '.join(found)}."))
        for warning in overridden_parameters(self.tasks, values):
            self.logger.warning(warning)
        with JobsClient(self.databricks_credentials, patience) as client:
            paths = upload_notebooks(client, self.workspace_folder, self.tasks, sources)
            wanted = job_settings(self, paths)
            job_id, settings = ensure_job(client, wanted, self.access_control_list)
        return Launch(job_id, settings, values, token)

    def start(self, launch: Launch, patience: Patience | None = None) -> DatabricksRun:
        """Start the run of a launch, or take up the one that it has started before.

        Args:
            launch: What :meth:`prepare` has returned.
            patience: How long Databricks may go without an answer; ten minutes by default.

        Returns:
            The run; use it in a ``with`` block.

        Raises:
            ApiError: Databricks refused it, as when the job or the run was deleted meanwhile.
            UnreachableError: Databricks could not be reached.
            RunLostError: The run was started, but could not be read.
        """
        with ExitStack() as on_error:
            client = on_error.enter_context(JobsClient(self.databricks_credentials, patience))
            try:
                run = _started(client, launch)
            except Exception:
                raise
            except BaseException:
                # Interrupted while it started: the launch tells which run that was, or would be.
                client.patience.seconds = _LAST_TRY_SECONDS
                _started(client, launch).cancel()
                raise
            on_error.pop_all()
        return run

    def attach(self, run_id: int, patience: Patience | None = None) -> DatabricksRun:
        """Take up a run that was started before; nothing is uploaded and nothing is changed.

        Repairs send the parameters again that the run shows.

        Args:
            run_id: The run's id.
            patience: How long Databricks may go without an answer; ten minutes by default.

        Returns:
            The run; use it in a ``with`` block. Its :meth:`~DatabricksRun.watch` does not tell
            again what has ended already.

        Raises:
            ApiError: Databricks refused it; 400 when there is no such run (any more).
            UnreachableError: Databricks could not be reached.
        """
        with ExitStack() as on_error:
            client = on_error.enter_context(JobsClient(self.databricks_credentials, patience))
            run = DatabricksRun(client, run_id, {})
            run.change_parameters(run.state.job_parameters)
            run.settle()
            run.skip_ended()
            on_error.pop_all()
        return run

    def live_runs(self) -> list[RunState]:
        """Return the runs of the saved job that have not ended; empty when there is no such job.

        Raises:
            ApiError: Databricks refused to list them.
            UnreachableError: Databricks could not be reached.
        """
        runs = []
        with JobsClient(self.databricks_credentials) as client:
            for job in client.find_jobs(self.job_name):
                for run_id in client.active_runs(int(job["job_id"])):
                    try:
                        runs.append(parse_run(client.get_run(run_id)))
                    except ApiError as error:
                        # It has ended and was deleted meanwhile.
                        if not error.missing:
                            raise
        return [run for run in runs if not run.outcome.ended]


def _started(client: JobsClient, launch: Launch) -> DatabricksRun:
    """Start a run, or find the one that the launch has started, and read it."""
    run_id = client.run_now(launch.job_id, launch.parameters, launch.token)
    # Not every replica knows of it at once.
    first_look = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ApiError) and error.missing),
        stop=stop_after_attempt(_FIRST_LOOKS),
        wait=wait_fixed(1),
        reraise=True,
    )
    try:
        run: DatabricksRun = first_look(DatabricksRun, client, run_id, launch.parameters)
        run.settle()
    except DatabricksError as error:
        # One that nobody can watch must not go on.
        with suppress(DatabricksError):
            client.cancel_run(run_id)
        raise RunLostError(
            f"Run {run_id} was started, but cannot be read, and so was cancelled. {error}"
        ) from error
    return run
