"""Asks a person what to repair, in the Prefect UI, when no repair is left to try by itself."""

from collections.abc import Mapping

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from pydantic import Field

from blocks.databricks import NoRepair, RepairPlan, RunState

_POLL_SECONDS = 2


class Decision(RunInput):
    """What a person decides about a Databricks run that failed."""

    tasks: list[str] = Field(
        default=[],
        description="Tasks to run again, with those that wait for them. None: do not repair.",
    )
    parameters: dict[str, str] = Field(
        default={}, description="Job parameters to change for this repair."
    )
    note: str = Field(default="", description="Why; it goes into the log.")


def ask(
    state: RunState, reason: str, errors: Mapping[int, str], timeout_seconds: float
) -> tuple[RepairPlan | NoRepair, Mapping[str, str]]:
    """Pause the flow run until somebody has filled in the form. No cluster waits meanwhile.

    Args:
        state: The run, which has ended.
        reason: Why it is not repaired without asking.
        errors: Why attempts failed, by run id.
        timeout_seconds: How long to wait for the answer.

    Returns:
        The repair that was chosen, or why there is none, and the job parameters to change.
    """
    text = describe_failures(state, reason, errors)
    try:
        decision = pause_flow_run(
            wait_for_input=Decision.with_initial_data(
                description=text, tasks=list(state.unsuccessful)
            ),
            timeout=int(timeout_seconds),
            poll_interval=_POLL_SECONDS,
            # The same question is asked once, also by a flow run that was restarted.
            key=f"{state.run_id}-{state.repairs}",
        )
    except FlowPauseTimeout:
        return NoRepair(f"{reason}, and nobody answered in time"), {}
    get_run_logger().info("Decided: %s. %s", ", ".join(decision.tasks) or "nothing", decision.note)
    return plan_decision(state, decision.tasks), decision.parameters


def describe_failures(state: RunState, reason: str, errors: Mapping[int, str]) -> str:
    """Return the text above the form, in markdown."""
    rows = [
        f"| {key} | {attempt.outcome.value} | {_cell(errors.get(attempt.run_id, ''))} |"
        for key, attempt in sorted(state.current.items())
        if key in state.unsuccessful
    ]
    head = f"Databricks run [{state.run_id}]({state.run_page_url}) failed; not repaired: {reason}."
    return "\n".join([head, "", "| task | ended as | error |", "|---|---|---|", *rows])


def plan_decision(state: RunState, tasks: list[str]) -> RepairPlan | NoRepair:
    """Turn the tasks that somebody chose into a repair.

    Tasks that did not succeed and wait for a chosen one are added, because ``runs/repair`` leaves
    them skipped otherwise.
    """
    unknown = sorted(set(tasks) - set(state.current))
    if unknown:
        return NoRepair(f"there is no task {', '.join(unknown)}")
    if not tasks:
        return NoRepair("a person decided against it")
    chosen = set(tasks)
    while more := {
        key
        for key in state.unsuccessful
        if key not in chosen and chosen & set(state.current[key].depends_on)
    }:
        chosen |= more
    return RepairPlan(tuple(sorted(chosen)), state.latest_repair_id)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
