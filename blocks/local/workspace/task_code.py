"""What a task runs: its code and parameters; or what its condition comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blocks.local.workspace.conditions import holds
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.notebook.contract import NotebookFile
from blocks.local.workspace.parameters import job_parameter_values, notebook_parameters
from blocks.local.workspace.references import Path, reference_values, resolve_all
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.sources import CodeSource, code_source
from blocks.local.workspace.specs import Operator, TaskKind
from blocks.local.workspace.store import Store


@dataclass(frozen=True)
class Code:
    """What a notebook or Python task runs.

    Attributes:
        file: The notebook or Python file.
        source: Where it comes from, and what it includes too.
        parameters: Widget values of a notebook.
        arguments: Of a Python file.
    """

    file: NotebookFile
    source: CodeSource
    parameters: Mapping[str, str]
    arguments: tuple[str, ...] = ()


def code_of(store: Store, identity: Identity, run: Run, attempt: Attempt) -> Code:
    """Return what an attempt runs, and record the parameters that it gets.

    Raises:
        GitError: The commit of a GIT source cannot be found.
        KeyError: There is no such notebook or file.
        UnknownReferenceError: A parameter refers to something that does not exist.
    """
    task = attempt.task
    source = code_source(store, run.run_id, task)
    overriding = run.round.parameters.overriding
    references = known_references(store, identity, run, attempt)
    if task.kind is TaskKind.SPARK_PYTHON:
        script = source.script(task.path)
        given = overriding.get("python_params") or task.action.get("parameters", [])
        arguments = resolve_all(given, references)
        store.runs.set_resolved(attempt.run_id, {task.kind: {"parameters": arguments}})
        return Code(script, source, {}, tuple(arguments))
    notebook = source.notebook(task.path)
    parameters = notebook_parameters(
        task.action.get("base_parameters", {}),
        overriding.get("notebook_params", {}),
        job_parameter_values(run),
        references,
    )
    store.runs.set_resolved(attempt.run_id, {task.kind: {"base_parameters": parameters}})
    return Code(notebook, source, parameters)


def decide(store: Store, identity: Identity, run: Run, attempt: Attempt) -> None:
    """Decide a condition task and record its operands and outcome.

    Raises:
        ValueError: An operand refers to something that does not exist, or is no number.
    """
    task = attempt.task
    references = known_references(store, identity, run, attempt)
    operands = {name: str(resolve_all(task.action[name], references)) for name in ("left", "right")}
    met = holds(Operator(task.action["op"]), **operands)
    store.runs.set_resolved(attempt.run_id, {task.kind: operands}, str(met).lower())


def known_references(
    store: Store, identity: Identity, run: Run, attempt: Attempt
) -> dict[Path, str]:
    """Return what references in the settings of a task stand for, job parameters included.

    Raises:
        UnknownReferenceError: A job parameter refers to something that does not exist.
    """
    task_values = store.outputs.task_values(run.run_id)
    references = reference_values(run, attempt, task_values, identity)
    given: Mapping[str, str] = resolve_all(job_parameter_values(run), references)
    return references | {("job", "parameters", name): value for name, value in given.items()}
