"""The flow ``repair-databricks-run``: a person's repair of any job run."""

from typing import Annotated
from uuid import UUID

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from blocks.databricks import (
    DatabricksJob,
    RepairPlan,
    RepairPolicy,
    RunState,
    repaired_tasks,
)
from flows.adopting import JobRunLeftError, cancel_job_run, cancel_on_error
from flows.asking import plan_decision
from flows.connections import Connections
from flows.databricks import conclude, known_failures, watch
from flows.form import Text, titled
from flows.mirrors import Mirrors
from flows.record import read_notes, take_up
from flows.watchdog import watchdog


class NotRepairedError(JobRunLeftError):
    """The run cannot be repaired as asked; the message says why."""


@flow(
    name="repair-databricks-run",
    flow_run_name="repair run {run_id}",
    on_failure=[cancel_job_run],
    on_cancellation=[cancel_job_run],
)
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
    notes = read_notes(UUID(runtime.flow_run.id))
    with (
        watchdog(runtime.flow_run.id),
        block.attach(run_id, notes.patience()) as run,
        Mirrors(()) as mirrors,
    ):
        if notes.record is None:
            _check_ended(run.state)
        before = take_up(notes, run, job).budget.repairs
        # A process of this flow run that was killed may have sent the repair already.
        plan = _plan(run.state, tasks) if run.state.repairs == before else None
        failures = known_failures(run)
        with cancel_on_error(run):
            if plan is not None:
                mirrors.repair(run, plan)
            failures |= watch(run, mirrors)
        conclude(run, "it failed again", failures, RepairPolicy())
    again = repaired_tasks(run.state, after=before)
    return Completed(name="Repaired", message=f"Run again: {', '.join(again)}")


def _check_ended(state: RunState) -> None:
    if not state.outcome.ended:
        raise NotRepairedError(f"Run {state.run_id} is still alive: {state.run_page_url}")


def _plan(state: RunState, tasks: list[str]) -> RepairPlan:
    _check_ended(state)
    plan = plan_decision(state, tasks or list(state.unsuccessful))
    if isinstance(plan, RepairPlan):
        return plan
    reason = plan.reason if tasks else "every task of it succeeded"
    raise NotRepairedError(f"Run {state.run_id} was not repaired: {reason}. {state.run_page_url}")
