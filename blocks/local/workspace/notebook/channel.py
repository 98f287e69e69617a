"""What a notebook's process and the workspace say to each other over their pipe.

The notebook sends `Call`, `CellChanged` and at last `Ended`; only a `Call` is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

from blocks.local.workspace.notebook.contract import (
    CellOutput,
    Host,
    NotebookFile,
    NotebookOutcome,
    PipResult,
    StorageError,
    StoredObject,
)


@dataclass(frozen=True)
class Call:
    """A question to the host: a method of `Host`, and the arguments for it."""

    method: str
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class Answer:
    """The host's answer: a value, or the error that the notebook is to see."""

    value: object = None
    error: Exception | None = None


@dataclass(frozen=True)
class CellChanged:
    """A cell is known (its times are 0), has started or has finished."""

    cell: CellOutput


@dataclass(frozen=True)
class Ended:
    """How the execution ended."""

    outcome: NotebookOutcome


def answer(host: Host, call: Call) -> Answer:
    """Let ``host`` answer a call.

    Raises:
        Exception: What the host raised, unless it means something to the notebook (``KeyError``
            for a thing that does not exist, ``TimeoutError`` for a notebook that took too long,
            ``StorageError`` for object storage that has failed).
    """
    try:
        return Answer(getattr(host, call.method)(*call.arguments))
    except (KeyError, TimeoutError, StorageError) as error:
        return Answer(error=error)


class RemoteHost:
    """The workspace, as a notebook's process sees it: `Host`, over the pipe."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        # A notebook may use dbutils from several threads.
        self._lock = threading.Lock()

    def read_notebook(self, path: str) -> NotebookFile:
        """See `Host.read_notebook`."""
        return cast("NotebookFile", self._ask("read_notebook", path))

    def run_notebook(
        self, path: str, timeout_seconds: int, arguments: Mapping[str, str]
    ) -> NotebookOutcome:
        """See `Host.run_notebook`."""
        outcome = self._ask("run_notebook", path, timeout_seconds, dict(arguments))
        return cast("NotebookOutcome", outcome)

    def pip(self, arguments: tuple[str, ...]) -> PipResult:
        """See `Host.pip`."""
        return cast("PipResult", self._ask("pip", arguments))

    def secret(self, scope: str, key: str) -> str:
        """See `Host.secret`."""
        return cast("str", self._ask("secret", scope, key))

    def secret_scopes(self) -> Mapping[str, tuple[str, ...]]:
        """See `Host.secret_scopes`."""
        return cast("Mapping[str, tuple[str, ...]]", self._ask("secret_scopes"))

    def task_value(self, task_key: str, key: str) -> str:
        """See `Host.task_value`."""
        return cast("str", self._ask("task_value", task_key, key))

    def set_task_value(self, key: str, value: str) -> None:
        """See `Host.set_task_value`."""
        self._ask("set_task_value", key, value)

    def list_objects(self, uri: str, recurse: bool) -> tuple[StoredObject, ...]:
        """See `Host.list_objects`."""
        return cast("tuple[StoredObject, ...]", self._ask("list_objects", uri, recurse))

    def read_object(self, uri: str, max_bytes: int | None) -> bytes:
        """See `Host.read_object`."""
        return cast("bytes", self._ask("read_object", uri, max_bytes))

    def write_object(self, uri: str, content: bytes) -> None:
        """See `Host.write_object`."""
        self._ask("write_object", uri, content)

    def delete_object(self, uri: str) -> None:
        """See `Host.delete_object`."""
        self._ask("delete_object", uri)

    def cell_changed(self, cell: CellOutput) -> None:
        """See `Host.cell_changed`."""
        self._tell(CellChanged(cell))

    def ended(self, outcome: NotebookOutcome) -> None:
        """Report how the execution ended; nothing may follow."""
        self._tell(Ended(outcome))

    def _tell(self, message: CellChanged | Ended) -> None:
        with self._lock:
            self._connection.send(message)

    def _ask(self, method: str, *arguments: object) -> object:
        with self._lock:
            self._connection.send(Call(method, arguments))
            reply: Answer = self._connection.recv()
        if reply.error is not None:
            raise reply.error
        return reply.value
