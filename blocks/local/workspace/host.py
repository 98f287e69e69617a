"""What a running notebook may ask of the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from blocks.local.workspace.notebook.contract import (
    CellOutput,
    Host,
    NotebookFile,
    NotebookFormat,
    NotebookOutcome,
    NotebookRequest,
)
from blocks.local.workspace.runs import Attempt
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.objects import Objects, ObjectType, normalise


class Runner(Protocol):
    """Runs a notebook in a process of its own."""

    def __call__(
        self, request: NotebookRequest, host: Host, timeout: float | None
    ) -> NotebookOutcome:
        """Run it to its end; ``TimeoutError`` if that takes more than ``timeout`` seconds."""
        ...


def read_notebook(objects: Objects, path: str) -> NotebookFile:
    """Return a notebook of the workspace; its path may carry the file extension.

    Raises:
        KeyError: There is no notebook at the path.
    """
    path = normalise(path)
    stem = path.removesuffix(".py").removesuffix(".ipynb")
    for candidate in (path, stem):
        item = objects.get(candidate)
        if item is not None and item.object_type is ObjectType.NOTEBOOK:
            form: NotebookFormat = "JUPYTER" if item.format == "JUPYTER" else "SOURCE"
            return NotebookFile(item.path, item.content.decode(), form)
    raise KeyError(path)


@dataclass(frozen=True)
class NotebookHost:
    """Answers the notebook of one attempt, or a notebook that it runs.

    Attributes:
        store: Of the workspace.
        run_notebook_process: Runs notebooks for ``dbutils.notebook.run``.
        request: The notebook's own request; a child inherits cluster and context.
        job_run_id: The run whose task values it shares.
        attempt: The attempt.
        child: Whether it was run by another notebook: its cells are not kept.
    """

    store: Store
    run_notebook_process: Runner
    request: NotebookRequest
    job_run_id: int
    attempt: Attempt
    child: bool = False

    def read_notebook(self, path: str) -> NotebookFile:
        """See ``Host``."""
        return read_notebook(self.store.objects, path)

    def run_notebook(
        self, path: str, timeout_seconds: int, arguments: Mapping[str, str]
    ) -> NotebookOutcome:
        """See ``Host``; no time limit if ``timeout_seconds`` is 0, as in the cloud."""
        request = replace(self.request, notebook=self.read_notebook(path), parameters=arguments)
        host = replace(self, request=request, child=True)
        try:
            return self.run_notebook_process(request, host, timeout_seconds or None)
        except TimeoutError:
            error = f"The notebook {path} timed out after {timeout_seconds} seconds."
            return NotebookOutcome(status="failed", error=error)

    def secret(self, scope: str, key: str) -> str:
        """See ``Host``; this workspace keeps no secrets yet."""
        raise KeyError(f"{scope}/{key}")

    def secret_scopes(self) -> Mapping[str, tuple[str, ...]]:
        """See ``Host``; this workspace keeps no secrets yet."""
        return {}

    def task_value(self, task_key: str, key: str) -> str:
        """See ``Host``."""
        return self.store.outputs.task_values(self.job_run_id)[task_key, key]

    def set_task_value(self, key: str, value: str) -> None:
        """See ``Host``."""
        self.store.outputs.set_task_value(self.job_run_id, self.attempt.task.key, key, value)

    def cell_changed(self, cell: CellOutput) -> None:
        """See ``Host``."""
        if not self.child:
            self.store.outputs.save_cell(self.attempt.run_id, cell)
