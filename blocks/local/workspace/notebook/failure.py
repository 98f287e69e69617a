"""How a failed cell is described: one line for the error, and a trace of the notebook's frames."""

from __future__ import annotations

import traceback
from collections.abc import Collection


def error_line(error: BaseException) -> str:
    """Return an exception as one line (``ValueError: boom``), as ``runs/get-output`` shows it.

    Of a message that goes on for several lines, as PySpark's do, it is the first one that counts.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


def error_trace(error: BaseException, notebook_files: Collection[str]) -> str:
    """Return the trace of an exception and of its causes, without frames of other code.

    Args:
        error: What the cell raised.
        notebook_files: The names under which cells were compiled; only their frames are shown.
    """
    described = traceback.TracebackException.from_exception(error)
    _keep_frames(described, notebook_files)
    return "".join(described.format()).rstrip()


def _keep_frames(described: traceback.TracebackException, files: Collection[str]) -> None:
    frames = [frame for frame in described.stack if frame.filename in files]
    described.stack = traceback.StackSummary.from_list(frames)
    related = [described.__cause__, described.__context__, *(described.exceptions or ())]
    for other in related:
        if other is not None:
            _keep_frames(other, files)
