"""Tasks whose work is another run: run-job tasks and for-each tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blocks.local.workspace.identity import Identity
from blocks.local.workspace.references import Path, replace_known, resolve, resolve_all
from blocks.local.workspace.runs import Attempt, Parameters, Run, RunType
from blocks.local.workspace.specs import TaskKind
from blocks.local.workspace.starter import Starter
from blocks.local.workspace.store import Store
from blocks.local.workspace.task_code import known_references

# Both limits are the cloud's: iterations of one task, and jobs that run jobs.
MAX_ITERATIONS = 5000
MAX_DEPTH = 3


class NestedRuns:
    """Starts and finds the runs that are the work of tasks.

    Args:
        store: Where runs are kept.
        identity: Of the workspace.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._starter = Starter(store)
        self._identity = identity

    def start(self, run: Run, attempt: Attempt) -> Run:
        """Make the run that is the work of an attempt.

        Raises:
            ApiError: The job to run does not exist or cannot be run.
            ValueError: The settings of the task cannot be resolved, or do not fit.
        """
        with self._store.transaction():
            if attempt.task.kind is TaskKind.RUN_JOB:
                return self._run_job(run, attempt)
            return self._for_each(run, attempt)

    def home(self, run: Run, attempt: Attempt) -> tuple[Run, Attempt]:
        """Return an iteration as an attempt of the run that its for-each task belongs to.

        It shares that run's clusters, parameters and task values. Others are returned as they are.
        """
        if run.run_type is not RunType.FOR_EACH or run.parent is None:
            return run, attempt
        owner = self._store.runs.owner(run.parent)
        outer = None if owner is None else self._store.runs.get(owner)
        if outer is None:
            return run, attempt
        return outer, replace(attempt, round=outer.attempt(run.parent).round)

    def _run_job(self, run: Run, attempt: Attempt) -> Run:
        action = attempt.task.action
        job = self._store.jobs.get(action["job_id"])
        if job is None:
            raise ValueError(f"Job {action['job_id']} does not exist.")
        if len(above := self._jobs_above(run)) >= MAX_DEPTH or job.job_id in above:
            raise ValueError(
                f"Job {job.job_id} cannot be run from here: jobs run each other in a circle or"
                f" more than {MAX_DEPTH} deep."
            )
        slots = {name: action[name] for name in _SLOTS if name in action}
        given = resolve_all(
            {"job_parameters": action.get("job_parameters", {}), **slots},
            known_references(self._store, self._identity, run, attempt),
        )
        self._store.runs.set_resolved(attempt.run_id, {attempt.task.kind: given})
        parameters = Parameters(given.pop("job_parameters"), given)
        return self._starter.job_run(job, parameters, parent=attempt.run_id)

    def _jobs_above(self, run: Run) -> list[int]:
        jobs = [run.job_id]
        while run.parent is not None:
            owner = self._store.runs.owner(run.parent)
            outer = None if owner is None else self._store.runs.get(owner)
            if outer is None:
                break
            run = outer
            if run.run_type is not RunType.FOR_EACH:
                jobs.append(run.job_id)
        return jobs

    def _for_each(self, run: Run, attempt: Attempt) -> Run:
        action = attempt.task.action
        references = known_references(self._store, self._identity, run, attempt)
        inputs = parse_inputs(resolve(action["inputs"], references))
        self._store.runs.set_resolved(attempt.run_id, {attempt.task.kind: {"inputs": inputs}})
        self._check_repair(run, attempt, len(inputs))
        return self._starter.iterations(attempt, iterations(action, inputs))

    def _check_repair(self, run: Run, attempt: Attempt, total: int) -> None:
        for earlier in run.attempts:
            if earlier.task.key != attempt.task.key or earlier.round == attempt.round:
                continue
            held = self._store.runs.child(earlier.run_id)
            if held is not None and len(held.latest) != total:
                raise ValueError(
                    "Inputs of a For each task repair must resolve to the same total iterations"
                )


def shown_run(store: Store, run: Run) -> Run:
    """Return a run as its attempts show it: iterations belong to the run of their for-each task."""
    if run.run_type is not RunType.FOR_EACH or run.parent is None:
        return run
    owner = store.runs.owner(run.parent)
    outer = None if owner is None else store.runs.get(owner)
    return run if outer is None else replace(outer, attempts=run.attempts)


_SLOTS = ("notebook_params", "python_params")


def parse_inputs(text: str) -> list[Any]:
    """Return the inputs of a for-each task.

    Args:
        text: A JSON array.

    Raises:
        ValueError: It is none, or too long.
    """
    try:
        inputs = json.loads(text)
    except (ValueError, RecursionError):
        inputs = None
    if not isinstance(inputs, list):
        raise ValueError("The inputs of a For each task must be a JSON array.")  # noqa: TRY004 (JSON)
    if not 0 < len(inputs) <= MAX_ITERATIONS:
        raise ValueError(
            f"A For each task can have 1 to {MAX_ITERATIONS} iterations, not {len(inputs)}."
        )
    return inputs


def iterations(action: Mapping[str, Any], inputs: list[Any]) -> dict[str, Any]:
    """Return the settings of a run whose tasks are the iterations of a for-each task.

    Args:
        action: ``for_each_task``.
        inputs: One for each iteration; ``{{input}}`` and ``{{input.key}}`` stand for it.
    """
    nested = action["task"]
    tasks = [
        {
            **replace_known(nested, input_references(item)),
            "task_key": f"{nested['task_key']}_{number}",
            "depends_on": [],
        }
        for number, item in enumerate(inputs)
    ]
    return {
        "name": nested["task_key"],
        "tasks": tasks,
        "concurrency": action.get("concurrency", 1),
    }


def input_references(item: object) -> dict[Path, str]:
    """Return what ``{{input}}`` and ``{{input.key}}`` stand for in one iteration."""
    values: dict[Path, str] = {("input",): _text(item)}
    if isinstance(item, dict):
        values |= {("input", str(name)): _text(value) for name, value in item.items()}
    return values


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
