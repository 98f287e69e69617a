"""A workspace in memory that runs notebooks: what the tests of the runtime stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blocks.local.workspace.notebook.contract import (
    CellOutput,
    NotebookFile,
    NotebookOutcome,
    NotebookRequest,
    PipResult,
    StoredObject,
)
from blocks.local.workspace.notebook.process import NotebookProcess
from blocks.local.workspace.notebook.source import HEADER
from blocks.local.workspace.storage import ObjectStorage, s3_client

JOB = {"job_id": "11", "run_id": "22", "task_run_id": "33", "task_key": "join_data"}


def source(*cells: str) -> str:
    """Return a notebook in source format."""
    return HEADER + "\n" + "\n\n# COMMAND ----------\n\n".join(cells)


@dataclass
class Desk:
    """Implements ``Host`` with dictionaries, and runs notebooks on a cluster.

    Attributes:
        spark_remote: The cluster.
        notebooks: Text in source format, by path.
        secrets: Values by scope and key.
        task_values: JSON text by task key and key.
        context: Of the requests.
        dbfs: Of the requests.
        changes: The cells that were announced, in order.
        storage: Object storage.
    """

    spark_remote: str
    notebooks: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    task_values: dict[tuple[str, str], str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=lambda: dict(JOB))
    dbfs: Path = Path("/no/dbfs")
    changes: list[CellOutput] = field(default_factory=list)
    storage: ObjectStorage = field(default_factory=lambda: ObjectStorage(s3_client))

    def process(self, *cells: str, **parameters: str) -> NotebookProcess:
        """Return a notebook of these cells, not started."""
        notebook = NotebookFile("/Shared/renewables/main", source(*cells))
        return NotebookProcess(
            NotebookRequest(notebook, parameters, self.spark_remote, self.dbfs, self.context), self
        )

    def run(self, *cells: str, **parameters: str) -> NotebookOutcome:
        """Run a notebook of these cells to its end."""
        process = self.process(*cells, **parameters)
        process.start()
        return process.wait(60)

    def read_notebook(self, path: str) -> NotebookFile:
        return NotebookFile(path, self.notebooks[path])

    def run_notebook(
        self, path: str, timeout_seconds: int, arguments: Mapping[str, str]
    ) -> NotebookOutcome:
        request = NotebookRequest(self.read_notebook(path), arguments, self.spark_remote, self.dbfs)
        process = NotebookProcess(request, self)
        process.start()
        try:
            return process.wait(timeout_seconds or None)
        finally:
            process.kill()

    def pip(self, arguments: tuple[str, ...]) -> PipResult:
        raise AssertionError("Nothing is installed here.")

    def secret(self, scope: str, key: str) -> str:
        return self.secrets[scope][key]

    def secret_scopes(self) -> Mapping[str, tuple[str, ...]]:
        return {scope: tuple(keys) for scope, keys in self.secrets.items()}

    def task_value(self, task_key: str, key: str) -> str:
        return self.task_values[task_key, key]

    def set_task_value(self, key: str, value: str) -> None:
        self.task_values[self.context["task_key"], key] = value

    def list_objects(self, uri: str, recurse: bool) -> tuple[StoredObject, ...]:
        return self.storage.list(uri, recurse=recurse)

    def read_object(self, uri: str, max_bytes: int | None) -> bytes:
        return self.storage.read(uri, max_bytes)

    def write_object(self, uri: str, content: bytes) -> None:
        self.storage.write(uri, content)

    def delete_object(self, uri: str) -> None:
        self.storage.delete(uri)

    def cell_changed(self, cell: CellOutput) -> None:
        self.changes.append(cell)


def printed(outcome: NotebookOutcome) -> str:
    """Return all text that a notebook has printed."""
    assert outcome.status == "succeeded", outcome.error_trace or outcome.error
    return "".join(
        output.data
        for cell in outcome.cells
        for output in cell.outputs
        if output.mime_type.startswith("application/vnd.stream.")
    )
