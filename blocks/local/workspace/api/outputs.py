"""What task runs have left behind, as ``runs/get-output`` shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blocks.local.workspace.notebook.contract import CellOutput
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.specs import TaskKind
from blocks.local.workspace.states import Result
from blocks.local.workspace.store.outputs import NotebookOutput

# The cloud keeps the last 5 MB of what a Python file prints.
MAX_LOG_BYTES = 5 * 1024 * 1024
_STREAMS = frozenset({"application/vnd.stream.stdout", "application/vnd.stream.stderr"})
# What was skipped has left nothing.
_WITH_OUTPUT = frozenset({Result.SUCCESS, Result.FAILED, Result.TIMEDOUT, Result.CANCELED})


def output_json(
    attempt: Attempt,
    output: NotebookOutput | None,
    cells: Iterable[CellOutput],
    started_run: Run | None,
) -> Mapping[str, Any]:
    """Return the output of a task run, without its metadata.

    Args:
        attempt: The task run.
        output: Its result and error, if any.
        cells: Of its notebook or Python file.
        started_run: The run that was its work, if there is one.
    """
    if not attempt.state.terminal or attempt.state.result not in _WITH_OUTPUT:
        return {}
    answer: dict[str, Any] = {}
    match attempt.task.kind:
        case TaskKind.NOTEBOOK:
            answer["notebook_output"] = (
                {}
                if output is None or output.result is None
                else {"result": output.result, "truncated": output.truncated}
            )
        case TaskKind.SPARK_PYTHON:
            answer |= _logs(cells)
        case TaskKind.RUN_JOB if started_run is not None:
            answer["run_job_output"] = {"run_id": started_run.run_id}
        case _:
            pass
    if output is not None and output.error:
        answer |= {"error": output.error, "error_trace": output.error_trace}
    elif attempt.state.result is Result.FAILED:
        answer["error"] = attempt.state.message
    return answer


def _logs(cells: Iterable[CellOutput]) -> Mapping[str, Any]:
    printed = "".join(
        output.data for cell in cells for output in cell.outputs if output.mime_type in _STREAMS
    ).encode()
    return {
        "logs": printed[-MAX_LOG_BYTES:].decode(errors="ignore"),
        "logs_truncated": len(printed) > MAX_LOG_BYTES,
    }
