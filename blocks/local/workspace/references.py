"""Dynamic value references: ``{{job.run_id}}``, ``{{tasks.load.values.rows}}`` and the others.

Source: the cloud's documentation, "What is a dynamic value reference?". What is not a reference
by its syntax stays as it is; an unknown name in a known namespace is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

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
        path = _path(match)
        if path in values:
            return values[path]
        if path[0] in _NAMESPACES:
            raise UnknownReferenceError(f"The reference {match[0]} cannot be resolved.")
        return match[0]

    return _REFERENCE.sub(replacement, text)


def _path(match: re.Match[str]) -> Path:
    return tuple(part.strip("`") for part in _PART.findall(match[1]))


# What may follow ``job`` and the other namespaces; None stands for any name. What is known to the
# cloud but never has a value here still passes, so that a job for the cloud can be created.
_KNOWN: tuple[tuple[str | None, ...], ...] = (
    ("job", "id"),
    ("job", "name"),
    ("job", "run_id"),
    ("job", "repair_count"),
    ("job", "start_time", None),
    ("job", "parameters", None),
    ("job", "trigger", "type"),
    ("job", "trigger", None, None),
    ("task", "name"),
    ("task", "run_id"),
    ("task", "execution_count"),
    ("task", "notebook_path"),
    ("tasks", None, "run_id"),
    ("tasks", None, "result_state"),
    ("tasks", None, "error_code"),
    ("tasks", None, "execution_count"),
    ("tasks", None, "notebook_path"),
    ("tasks", None, "values", None),
    ("workspace", "id"),
    ("workspace", "url"),
)


def check_references(value: object, task_keys: Collection[str]) -> None:
    """Check the names of the references in the settings of a task, before any run.

    Args:
        value: Texts, or lists and objects of them.
        task_keys: The tasks of the job.

    Raises:
        UnknownReferenceError: A reference into a known namespace has a name that is not there.
    """
    match value:
        case str():
            for match in _REFERENCE.finditer(value):
                if not _is_known(_path(match), task_keys):
                    raise UnknownReferenceError(f"The reference {match[0]} is not known.")
        case dict():
            for item in value.values():
                check_references(item, task_keys)
        case list():
            for item in value:
                check_references(item, task_keys)


def _is_known(path: Path, task_keys: Collection[str]) -> bool:
    if path[0] not in _NAMESPACES:
        return True
    if path[0] == "tasks" and len(path) > 1 and path[1] not in task_keys:
        return False
    return any(
        len(path) == len(known)
        and all(name in {part, None} for part, name in zip(path, known, strict=True))
        for known in _KNOWN
    )


def resolve_all(value: Any, values: Mapping[Path, str]) -> Any:  # noqa: ANN401 (any JSON)
    """Replace the references in all texts of a JSON value; see `resolve`.

    Raises:
        UnknownReferenceError: A reference names nothing.
    """
    return _in_texts(value, lambda text: resolve(text, values))


def replace_known(value: Any, values: Mapping[Path, str]) -> Any:  # noqa: ANN401 (any JSON)
    """Replace some references in all texts of a JSON value, and leave the others for later."""

    def replacement(match: re.Match[str]) -> str:
        return values.get(_path(match), match[0])

    return _in_texts(value, lambda text: _REFERENCE.sub(replacement, text))


def _in_texts(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 (any JSON)
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _in_texts(item, change) for name, item in value.items()}
        case list():
            return [_in_texts(item, change) for item in value]
        case _:
            return value


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
        ("task", "notebook_path"): task.path,
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
        values["tasks", key, "execution_count"] = str(other.number + 1)
        values["tasks", key, "notebook_path"] = other.task.path
        if other.state.terminal:
            values["tasks", key, "error_code"] = other.state.code
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
