"""The flow ``repair-databricks-run``: a person's repair of any job run."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from blocks.databricks import DatabricksJob, NoRepair
from flows.asking import plan_decision
from flows.connections import Connections
from flows.databricks import DatabricksRunFailedError, cancel_on_error, watch
from flows.form import Text, titled
from flows.mirrors import Mirrors
from flows.reports import report_receipt


class NotRepairedError(ValueError):
    """The run cannot be repaired as asked; the message says why."""


@flow(name="repair-databricks-run", flow_run_name="repair run {run_id}")
def repair_databricks_run(
    run_id: Annotated[int, Field(gt=0), titled("Run id")],
    tasks: Annotated[list[Text], titled("Tasks")] = [],  # noqa: B006  # never changed
    job: Annotated[Text, titled("Databricks Job block")] = "renewables",
) -> State[None]:
    """Run failed tasks of a Databricks job run again, and watch them to the end.

    Args:
        run_id: Id of the Databricks job run, as its page shows it. It must have ended.
        tasks: Keys of the tasks to run again; those that wait for them and did not succeed are
            added. None: every task that did not succeed.
        job: Name of the Databricks Job block whose workspace has the run.
    """
    block: DatabricksJob = Connections(databricks_job=job).load_databricks_job()
    with block.attach(run_id) as run, Mirrors(()) as mirrors:
        if not run.state.outcome.ended:
            raise NotRepairedError(f"Run {run_id} is still alive: {run.state.run_page_url}")
        plan = plan_decision(run.state, tasks or list(run.state.unsuccessful))
        if isinstance(plan, NoRepair):
            reason = plan.reason if tasks else "every task of it succeeded"
            raise NotRepairedError(
                f"Run {run_id} was not repaired: {reason}. {run.state.run_page_url}"
            )
        with cancel_on_error(run):
            mirrors.repair(run, plan)
            watch(run, mirrors)
        if not run.state.outcome.ok:
            failures = [run.failure(attempt) for attempt in run.state.causes]
            raise DatabricksRunFailedError(run.state, "it failed again", failures)
        report_receipt(run.state, price_per_hour=0)
    return Completed(name="Repaired", message=f"Run again: {', '.join(plan.task_keys)}")
