"""What notebooks leave behind: results, errors, cells and task values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from blocks.local.workspace.notebook.contract import CellOutput, NotebookOutcome, Output
from blocks.local.workspace.store.database import Database

# The cloud keeps the first 5 MB of the value given to dbutils.notebook.exit.
MAX_RESULT_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class NotebookOutput:
    """The output of a task run.

    Attributes:
        result: Value of ``dbutils.notebook.exit``; None if it was not called.
        truncated: Whether the value was longer than what is kept.
        error: Last line of the exception; empty if there was none.
        error_trace: Its trace.
    """

    result: str | None
    truncated: bool
    error: str
    error_trace: str


class Outputs:
    """The tables of outputs, cells and task values.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, task_run_id: int, outcome: NotebookOutcome) -> None:
        """Store how a notebook ended, with all its cells."""
        result = outcome.result
        encoded = b"" if result is None else result.encode()
        truncated = len(encoded) > MAX_RESULT_BYTES
        if truncated:
            result = encoded[:MAX_RESULT_BYTES].decode(errors="ignore")
        with self._database.transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO output VALUES (?, ?, ?, ?, ?)",
                task_run_id,
                result,
                truncated,
                outcome.error,
                outcome.error_trace,
            )
            for cell in outcome.cells:
                self.save_cell(task_run_id, cell)

    def save_cell(self, task_run_id: int, cell: CellOutput) -> None:
        """Store one cell as it stands."""
        self._database.execute(
            "INSERT OR REPLACE INTO cell VALUES (?, ?, ?)",
            task_run_id,
            cell.index,
            json.dumps(asdict(cell)),
        )

    def get(self, task_run_id: int) -> NotebookOutput | None:
        """Return the output of a task run, or None if it left none (yet)."""
        row = self._database.row("SELECT * FROM output WHERE task_run_id = ?", task_run_id)
        if row is None:
            return None
        return NotebookOutput(
            row["result"], bool(row["truncated"]), row["error"], row["error_trace"]
        )

    def cells(self, task_run_id: int) -> list[CellOutput]:
        """Return the cells of a task run in order."""
        rows = self._database.rows(
            "SELECT content FROM cell WHERE task_run_id = ? ORDER BY position", task_run_id
        )
        return [_cell(row["content"]) for row in rows]

    def set_task_value(self, run_id: int, task_key: str, name: str, value: str) -> None:
        """Store a task value, given as JSON text."""
        self._database.execute(
            "INSERT OR REPLACE INTO task_value VALUES (?, ?, ?, ?)", run_id, task_key, name, value
        )

    def task_values(self, run_id: int) -> dict[tuple[str, str], str]:
        """Return the task values of a run, as JSON text, by task key and name."""
        rows = self._database.rows("SELECT * FROM task_value WHERE run_id = ?", run_id)
        return {(row["task_key"], row["name"]): row["value"] for row in rows}


def _cell(text: str) -> CellOutput:
    content = json.loads(text)
    outputs = tuple(Output(**output) for output in content.pop("outputs"))
    return CellOutput(**content, outputs=outputs)
