"""How pages write times, durations, states and notebook outputs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from blocks.local.workspace.specs import Operator, TaskKind, TaskSpec, task_spec
from blocks.local.workspace.states import LifeCycle, Result, State

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_ROW_HEIGHT, _FRAME_PADDING, _MAX_FRAME_HEIGHT, _PLAIN_FRAME_HEIGHT = 23, 20, 440, 220
_SIGNS = {
    Operator.EQUAL_TO: "=",
    Operator.NOT_EQUAL: "≠",
    Operator.GREATER_THAN: ">",
    Operator.GREATER_THAN_OR_EQUAL: "≥",
    Operator.LESS_THAN: "<",
    Operator.LESS_THAN_OR_EQUAL: "≤",
}

_GOOD = frozenset({Result.SUCCESS})
_BAD = frozenset({Result.FAILED, Result.TIMEDOUT, Result.UPSTREAM_FAILED})


def moment(milliseconds: int) -> str:
    """Return a time, given in epoch milliseconds, in the zone of this machine; a hyphen for 0."""
    if not milliseconds:
        return "-"
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def duration(milliseconds: int) -> str:
    """Return a duration, given in milliseconds, in the two largest units that it fills."""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def state_name(state: State) -> str:
    """Return a state in a word or two: the result if there is one."""
    name = state.result if state.result is not None else state.life_cycle
    return name.replace("_", " ").capitalize()


def state_class(state: State) -> str:
    """Return the CSS class that colours a state."""
    if not state.terminal:
        moving = state.life_cycle in {LifeCycle.RUNNING, LifeCycle.TERMINATING}
        return "running" if moving else "waiting"
    if state.result in _GOOD:
        return "good"
    if state.result is Result.SUCCESS_WITH_FAILURES:
        return "mixed"
    if state.result is Result.UPSTREAM_FAILED:
        return "blocked"
    return "bad" if state.result in _BAD else "neutral"


def work(task: TaskSpec) -> str:
    """Return what a task does: the path of its notebook, its condition, the job that it runs."""
    action = task.action
    match task.kind:
        case TaskKind.CONDITION:
            return f"{action['left']} {_SIGNS[Operator(action['op'])]} {action['right']}"
        case TaskKind.RUN_JOB:
            return f"job {action['job_id']}"
        case TaskKind.FOR_EACH:
            return f"{work(task_spec(action['task']))}, for each of {action['inputs']}"
        case _:
            return task.path


def parameters(resolved: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Give names and values of the parameters that an attempt got, however they are nested.

    Args:
        resolved: ``resolved_values`` of the attempt.
    """
    for name, value in (resolved or {}).items():
        if isinstance(value, Mapping):
            yield from parameters(value)
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value))
        else:
            yield name, str(value)


def markdown(text: str) -> Markup:
    """Return a markdown cell as HTML; HTML in it is shown, not used."""
    body = text.removeprefix("%md-sandbox").removeprefix("%md").lstrip()
    return Markup(_MARKDOWN.render(body))  # noqa: S704 (the renderer escapes)


def frame_height(html: str) -> int:
    """Return the height in pixels of a frame for an output: that of its rows, within limits.

    It stays so in an exported document, which has no script to measure what is in the frame.
    """
    rows = html.count("<tr")
    return (
        min(rows * _ROW_HEIGHT + _FRAME_PADDING, _MAX_FRAME_HEIGHT) if rows else _PLAIN_FRAME_HEIGHT
    )
