"""Dynamic value references: ``{{job.run_id}}``, ``{{tasks.load.values.rows}}`` and the others.

Source: the cloud's documentation, "What is a dynamic value reference?". What is not a reference
by its syntax stays as it is; an unknown name in a known namespace is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from blocks.local.workspace.identity import Identity
from blocks.local.workspace.runs import Attempt, Run

_NAME = r"(?:[A-Za-z_][\w\-]*|`[^`]+`)"
_REFERENCE = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")
_PART = re.compile(_NAME)
_NAMESPACES = frozenset({"job", "task", "tasks", "workspace"})

Path = tuple[str, ...]


class UnknownReferenceError(ValueError):
    """A reference into a known namespace that names nothing there."""


def resolve(text: str, values: Mapping[Path, str]) -> str:
    """Replace the references in a parameter's value.

    Args:
        text: The value as the settings give it.
        values: What each reference stands for, by its parts (``("job", "run_id")``).

    Returns:
        The value as the task gets it.

    Raises:
        UnknownReferenceError: A reference names nothing.
    """

    def replacement(match: re.Match[str]) -> str:
        path = tuple(part.strip("`") for part in _PART.findall(match[1]))
        if path in values:
            return values[path]
        if path[0] in _NAMESPACES:
            raise UnknownReferenceError(f"The reference {match[0]} cannot be resolved.")
        return match[0]

    return _REFERENCE.sub(replacement, text)


def reference_values(
    run: Run, attempt: Attempt, task_values: Mapping[tuple[str, str], str], identity: Identity
) -> dict[Path, str]:
    """Return what the references in the parameters of a task stand for.

    Args:
        run: The run.
        attempt: The attempt that is about to be executed.
        task_values: Task values of the run as JSON text, by task key and name.
        identity: Of the workspace.

    Returns:
        Values by the parts of the reference; job parameters are not among them.
    """
    task = attempt.task
    values: dict[Path, str] = {
        ("job", "id"): str(run.job_id),
        ("job", "name"): run.name,
        ("job", "run_id"): str(run.run_id),
        ("job", "repair_count"): str(run.round.position),
        ("job", "trigger", "type"): "manual",
        ("task", "name"): task.key,
        ("task", "run_id"): str(attempt.run_id),
        ("task", "execution_count"): str(attempt.number + 1),
        ("task", "notebook_path"): task.settings["notebook_task"]["notebook_path"],
        ("workspace", "id"): str(identity.org_id),
        ("workspace", "url"): identity.url,
        # The forms from before there were namespaces; run_id is the task run's.
        ("job_id",): str(run.job_id),
        ("run_id",): str(attempt.run_id),
        ("parent_run_id",): str(run.run_id),
        ("task_key",): task.key,
    }
    values |= _start_time_values(run.started)
    for key, other in run.latest.items():
        values["tasks", key, "run_id"] = str(other.run_id)
        if other.state.result is not None:
            values["tasks", key, "result_state"] = other.state.result.lower()
    for (key, name), value in task_values.items():
        values["tasks", key, "values", name] = _text(value)
    return values


def _text(task_value: str) -> str:
    """Return a task value, which is JSON, as text in a parameter: a string without its quotes."""
    decoded = json.loads(task_value)
    return decoded if isinstance(decoded, str) else task_value


def _start_time_values(started: int) -> dict[Path, str]:
    """Return the values of ``{{job.start_time.…}}`` and ``{{start_date}}``, in UTC."""
    moment = datetime.fromtimestamp(started / 1000, UTC)
    parts = {
        "timestamp_ms": str(started),
        "iso_date": f"{moment:%Y-%m-%d}",
        "iso_datetime": f"{moment:%Y-%m-%dT%H:%M:%S}",
        "year": str(moment.year),
        "month": str(moment.month),
        "day": str(moment.day),
        "hour": str(moment.hour),
        "minute": str(moment.minute),
        "second": str(moment.second),
        "iso_weekday": str(moment.isoweekday()),
        "is_weekday": str(moment.isoweekday() <= 5).lower(),
    }
    values: dict[Path, str] = {("job", "start_time", name): value for name, value in parts.items()}
    return {**values, ("start_date",): parts["iso_date"]}
