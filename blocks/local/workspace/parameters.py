"""Which parameters a task gets, and what they are: pure rules of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.local.workspace.references import Path, resolve
from blocks.local.workspace.runs import Run


def job_parameters(settings: Mapping[str, Any], given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the parameters of a run as ``runs/get`` shows them.

    Args:
        settings: The job's settings.
        given: ``job_parameters`` of the request.

    Returns:
        ``name``, ``default`` and ``value`` of each; those that the job does not declare have no
        ``default``.
    """
    declared = {item["name"]: item["default"] for item in settings.get("parameters", ())}
    shown = [
        {"name": name, "default": default, "value": given.get(name, default)}
        for name, default in declared.items()
    ]
    extra = [{"name": n, "value": v} for n, v in given.items() if n not in declared]
    return shown + extra


def job_parameter_values(run: Run) -> dict[str, str]:
    """Return the job parameters of the latest round of a run, references not resolved yet."""
    shown = job_parameters(run.round.settings, run.round.parameters.job)
    return {item["name"]: item["value"] for item in shown}


def notebook_parameters(
    base_parameters: Mapping[str, str],
    notebook_params: Mapping[str, str],
    job_parameter_values: Mapping[str, str],
    references: Mapping[Path, str],
) -> dict[str, str]:
    """Return the widget values of a notebook task.

    The job's parameters are pushed down to every notebook and win over a task's own parameter of
    the same name.

    Args:
        base_parameters: Of the task.
        notebook_params: Of the request that started the run or repair (a legacy slot).
        job_parameter_values: Of the run.
        references: See ``references.resolve``.

    Returns:
        Values by widget name.

    Raises:
        UnknownReferenceError: A value refers to something that does not exist.
    """
    job_values = {name: resolve(value, references) for name, value in job_parameter_values.items()}
    known: dict[Path, str] = {
        **references,
        **{("job", "parameters", name): value for name, value in job_values.items()},
    }
    own = {**base_parameters, **notebook_params}
    return {**{name: resolve(value, known) for name, value in own.items()}, **job_values}
