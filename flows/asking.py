"""Asks a person what to repair, in the Prefect UI, when no repair is left to try by itself."""

import math
from collections.abc import Mapping
from uuid import UUID, uuid4

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from pydantic import Field

from blocks.databricks import ClusterChanges, NoRepair, RepairPlan, RunState
from flows.prefect_api import patiently

_POLL_SECONDS = 2
_SAME_CLUSTERS = ClusterChanges()


class Decision(RunInput):
    """What a person decides about a Databricks run that failed."""

    tasks: list[str] = Field(
        default=[],
        description=(
            "Run again, with those that wait for them. Remove all, and the flow run fails instead."
        ),
    )
    parameters: dict[str, str] = Field(
        default={}, description="Job parameters to change from now on, as JSON."
    )
    note: str = Field(default="", description="Why; it goes into the log.")


def ask(
    question: str,
    state: RunState,
    reason: str,
    errors: Mapping[int, str],
    timeout_seconds: float,
) -> Decision | None:
    """Stop the flow run until somebody has filled in the form. No cluster waits meanwhile.

    The run of a deployment is suspended: its process ends, and a worker starts it again with the
    answer. Without a deployment nobody could start it again, and for the run of a subflow Prefect
    does not do it: these pause, and their process waits.

    Args:
        question: Tells this question from every other one of the flow run. Who asks it again,
            after a crash for example, gets the answer that was given, whenever that was.
        state: The run, which has ended.
        reason: Why it is not repaired without asking.
        errors: Why attempts failed, by run id.
        timeout_seconds: How long to wait for the answer.

    Returns:
        The decision; None when nobody has decided in time. Prefect may also notice that, in its
        own words, and fail the flow run.

    Raises:
        Pause: The flow run is suspended, and its process has to end.
    """
    decision = _answer(question)
    if decision is None and timeout_seconds > 0:
        text = describe_failures(state, reason, errors)
        decision = _wait_for_answer(question, state, text, math.ceil(timeout_seconds))
    if decision is not None:
        chosen = ", ".join(decision.tasks) or "nothing"
        get_run_logger().info("Decided: %s. %s", chosen, decision.note)
    return decision


@patiently
def _answer(question: str) -> Decision | None:
    """Return the answer that was given before, perhaps to another process of the flow run."""
    with get_client(sync_client=True) as client:
        inputs = [
            found
            for verb in ("paused", "suspended")
            for found in client.filter_flow_run_input(
                UUID(runtime.flow_run.id), f"{verb}-{question}-", limit=200, exclude_keys=set()
            )
        ]
    answers = [found.value for found in inputs if found.key.endswith("-response")]
    return Decision.model_validate_json(answers[0]) if answers else None


def _wait_for_answer(
    question: str, state: RunState, text: str, timeout_seconds: int
) -> Decision | None:
    # Prefect drops a field's help when it gets a plain value for it.
    help_text = Decision.model_fields["tasks"].description
    tasks = Field(default=list(state.unsuccessful), description=help_text)
    form = Decision.with_initial_data(description=text, tasks=tasks)
    get_run_logger().warning("Waiting for a decision: Resume, in the menu (⋮) of this flow run")
    # Prefect takes a key that it has seen for a question that was answered, although the process
    # that asked it may have died before anybody could.
    key = f"{question}-{uuid4().hex}"
    if runtime.deployment.id and not runtime.flow_run.parent_flow_run_id:
        return suspend_flow_run(form, timeout=timeout_seconds, key=key)
    try:
        return pause_flow_run(form, timeout=timeout_seconds, poll_interval=_POLL_SECONDS, key=key)
    except FlowPauseTimeout:
        return None


def describe_failures(state: RunState, reason: str, errors: Mapping[int, str]) -> str:
    """Return the text above the form, in markdown."""
    rows = [
        f"| {key} | {attempt.outcome.value} | {_cell(errors.get(attempt.run_id, ''))} |"
        for key, attempt in sorted(state.current.items())
        if key in state.unsuccessful
    ]
    head = (
        f"Databricks run [{state.run_id}]({state.run_page_url}) failed. "
        f"It is not repaired{' again' if state.repairs else ''} unasked: {reason}."
    )
    return "\n".join([head, "", "| task | ended as | error |", "|---|---|---|", *rows])


def plan_decision(
    state: RunState, tasks: list[str], changes: ClusterChanges = _SAME_CLUSTERS
) -> RepairPlan | NoRepair:
    """Turn the tasks that somebody chose into a repair.

    Tasks that did not succeed and wait for a chosen one are added, because ``runs/repair`` leaves
    them skipped otherwise.

    Args:
        state: The run, which has ended.
        tasks: Keys of the chosen tasks.
        changes: What the job's clusters have to be for it.
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
    return RepairPlan(tuple(sorted(chosen)), state.latest_repair_id, cluster_changes=changes)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
