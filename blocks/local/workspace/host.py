"""What a running notebook may ask of the workspace."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from blocks.local.workspace import states
from blocks.local.workspace.clock import now
from blocks.local.workspace.installing import NotebookLibraries
from blocks.local.workspace.notebook.contract import (
    CellOutput,
    NotebookFile,
    NotebookOutcome,
    NotebookRequest,
    PipResult,
    StoredObject,
)
from blocks.local.workspace.processes import ProcessGroup
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.sources import CodeSource
from blocks.local.workspace.specs import notebook_task
from blocks.local.workspace.starter import Starter
from blocks.local.workspace.states import State
from blocks.local.workspace.storage import ObjectStorage, s3_client
from blocks.local.workspace.store import Store

# One for the process: its client is made for the variables of the process.
STORAGE = ObjectStorage(s3_client)


@dataclass(frozen=True)
class NotebookHost:
    """Answers the notebook of one attempt, or a notebook that it runs.

    Attributes:
        store: Of the workspace.
        processes: Of the attempt; they run notebooks for ``dbutils.notebook.run``, and pip.
        request: The notebook's own request; a child inherits cluster and context.
        run: The job run, whose task values it shares.
        attempt: The attempt, whose cells it writes.
        source: Where its code comes from.
        task_key: Of the task of the job, whose values it sets.
        libraries: What ``%pip`` installs for it.
        ending_of_lost: Says how a notebook has ended whose process is gone.
    """

    store: Store
    processes: ProcessGroup
    request: NotebookRequest
    run: Run
    attempt: Attempt
    source: CodeSource
    task_key: str
    libraries: NotebookLibraries
    ending_of_lost: Callable[[], State]

    def read_notebook(self, path: str) -> NotebookFile:
        """See ``Host``."""
        return self.source.notebook(path)

    def run_notebook(
        self, path: str, timeout_seconds: int, arguments: Mapping[str, str]
    ) -> NotebookOutcome:
        """See ``Host``; no time limit if ``timeout_seconds`` is 0, as in the cloud."""
        request = replace(self.request, notebook=self.read_notebook(path), parameters=arguments)
        with self.store.transaction():
            task = notebook_task(path, self.attempt.task.action["source"], arguments)
            record = Starter(self.store).notebook_run(self.attempt, task)
        attempt = record.attempts[0]
        libraries = self.libraries.of_another()
        host = replace(self, request=request, attempt=attempt, libraries=libraries)
        ending = states.DRIVER_LOST
        try:
            outcome = self.processes.run(request, host, timeout_seconds or None)
            lost = outcome.status == "lost"
            ending = self.ending_of_lost() if lost else states.OF_OUTCOME[outcome.status]
        except TimeoutError:
            error = f"The notebook {path} timed out after {timeout_seconds} seconds."
            outcome = NotebookOutcome(status="failed", error=error)
            ending = states.TIMED_OUT
        finally:
            libraries.remove()
            self._end(record, ending)
        self.store.outputs.save(attempt.run_id, outcome)
        return outcome

    def _end(self, record: Run, state: State) -> None:
        moment = now()
        of_run = states.RUN_CANCELED if state == states.TASK_CANCELED else state
        item = replace(record.round, state=of_run, ended=moment)
        with self.store.transaction():
            self.store.runs.change(replace(record, state=of_run, ended=moment, rounds=(item,)))
            ended = replace(record.attempts[0], state=state, ended=moment)
            self.store.runs.change_attempt(ended)

    def pip(self, arguments: tuple[str, ...]) -> PipResult:
        """See ``Host``."""
        folder = posixpath.dirname(self.request.notebook.path)
        return self.libraries.pip(arguments, folder, self.processes.command)

    def secret(self, scope: str, key: str) -> str:
        """See ``Host``."""
        return self.store.secrets.get(scope, key).decode(errors="replace")

    def secret_scopes(self) -> Mapping[str, tuple[str, ...]]:
        """See ``Host``."""
        secrets = self.store.secrets
        return {name: tuple(info.key for info in secrets.list(name)) for name in secrets.scopes()}

    def task_value(self, task_key: str, key: str) -> str:
        """See ``Host``."""
        return self.store.outputs.task_values(self.run.run_id)[task_key, key]

    def set_task_value(self, key: str, value: str) -> None:
        """See ``Host``."""
        self.store.outputs.set_task_value(self.run.run_id, self.task_key, key, value)

    def list_objects(self, uri: str, recurse: bool) -> tuple[StoredObject, ...]:
        """See ``Host``."""
        return STORAGE.list(uri, recurse=recurse)

    def read_object(self, uri: str, max_bytes: int | None) -> bytes:
        """See ``Host``."""
        return STORAGE.read(uri, max_bytes)

    def write_object(self, uri: str, content: bytes) -> None:
        """See ``Host``."""
        STORAGE.write(uri, content)

    def delete_object(self, uri: str) -> None:
        """See ``Host``."""
        STORAGE.delete(uri)

    def cell_changed(self, cell: CellOutput) -> None:
        """See ``Host``."""
        self.store.outputs.save_cell(self.attempt.run_id, cell)
