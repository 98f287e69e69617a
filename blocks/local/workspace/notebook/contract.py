"""What passes between the workspace and a notebook that runs for it.

The workspace (``engine``) knows jobs, runs and tasks; the notebook runtime knows cells, ``dbutils``
and Spark. They meet only here, in frozen values and one protocol, so that either can be tested
without the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

NotebookFormat = Literal["SOURCE", "JUPYTER", "SCRIPT"]


@dataclass(frozen=True)
class NotebookFile:
    """A notebook as the workspace stores it.

    Attributes:
        path: Absolute workspace path, without extension (``/Shared/renewables/join_data``).
        content: The text: Databricks source format, ``.ipynb`` JSON, or a plain Python file.
        format: Which of the three ``content`` is.
    """

    path: str
    content: str
    format: NotebookFormat = "SOURCE"


@dataclass(frozen=True)
class NotebookRequest:
    """One execution of a notebook.

    Attributes:
        notebook: What to run.
        parameters: Widget values, already merged and with dynamic references resolved.
        spark_remote: Spark Connect URL (``sc://127.0.0.1:PORT``) of the cluster to attach to.
        dbfs: The folder on this machine that is ``dbfs:/``.
        context: Facts about the run (``job_id``, ``run_id``, ``task_run_id``, ``task_key`` …),
            for ``dbutils.notebook.entry_point`` and for error texts; all values are strings.
        arguments: What a Python file finds in ``sys.argv`` after its name.
        environment: Further environment variables, as the cluster sets them.
        shell_allowed: Whether ``%sh`` cells run; otherwise they fail.
        pip_installs: Whether ``%pip`` does what it says; otherwise it only says that it does not.
        libraries: Folders of packages of the cluster, which come first in ``sys.path``.
    """

    notebook: NotebookFile
    parameters: Mapping[str, str]
    spark_remote: str
    dbfs: Path
    context: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    shell_allowed: bool = False
    pip_installs: bool = False
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellOutput:
    """What one cell did.

    Attributes:
        index: Position in the notebook, from 0.
        title: The cell's title, empty when it has none.
        language: ``python``, ``markdown``, ``sql``, ``pip`` or ``run``; ``sh``, which may be
            refused; or one that always is: ``fs``, ``r``, ``scala``.
        source: The cell's text without ``# MAGIC`` prefixes.
        outputs: What it produced, in order.
        started: Epoch milliseconds, 0 when it never started.
        finished: Epoch milliseconds, 0 when it never finished.
        error: The exception's last line, empty when there was none.
    """

    index: int
    title: str
    language: str
    source: str
    outputs: tuple[Output, ...] = ()
    started: int = 0
    finished: int = 0
    error: str = ""


@dataclass(frozen=True)
class Output:
    """One output of a cell.

    Attributes:
        mime_type: ``text/plain``, ``text/html``, ``text/markdown``, an image type, or
            ``application/vnd.stream.stdout`` / ``…stderr`` for printed text.
        data: Text; base64 for images other than SVG.
    """

    mime_type: str
    data: str


@dataclass(frozen=True)
class NotebookOutcome:
    """How an execution ended.

    Attributes:
        status: ``succeeded`` (ran to its end, or ``dbutils.notebook.exit``), ``failed`` (a cell
            raised) or ``lost`` (the process died without a word: killed, out of memory).
        result: The value given to ``dbutils.notebook.exit``; None when it was not called.
        error: The exception's last line, as ``runs/get-output`` shows it (``ValueError: …``).
        error_trace: The whole trace, without this runtime's own frames.
        cells: Every cell, in order, those that never ran included.
    """

    status: Literal["succeeded", "failed", "lost"]
    result: str | None = None
    error: str = ""
    error_trace: str = ""
    cells: tuple[CellOutput, ...] = ()


@dataclass(frozen=True)
class PipResult:
    """What came of ``%pip``.

    Attributes:
        status: Exit status; 0 if all is well.
        output: What pip printed.
        site_packages: The folder with what this notebook has installed so far.
    """

    status: int
    output: str
    site_packages: str


class StorageError(OSError):
    """Object storage has failed, or refuses."""


@dataclass(frozen=True)
class StoredObject:
    """An object in object storage, or a folder of objects.

    Attributes:
        uri: ``s3://bucket/key``; that of a folder ends with ``/``.
        size: Bytes, 0 for a folder.
        modified: Epoch milliseconds, 0 for a folder.
    """

    uri: str
    size: int
    modified: int


class Host(Protocol):
    """What a running notebook may ask of its workspace.

    The methods are called in the workspace's process, on the thread that waits for the notebook.
    A ``KeyError`` tells the notebook that the thing does not exist, a
    ``StorageError`` that object storage has failed.
    """

    def read_notebook(self, path: str) -> NotebookFile:
        """Return the notebook at an absolute workspace path, for ``%run``."""
        ...

    def run_notebook(
        self, path: str, timeout_seconds: int, arguments: Mapping[str, str]
    ) -> NotebookOutcome:
        """Run another notebook to its end, for ``dbutils.notebook.run``."""
        ...

    def pip(self, arguments: tuple[str, ...]) -> PipResult:
        """Run pip for this notebook alone, for ``%pip``."""
        ...

    def secret(self, scope: str, key: str) -> str:
        """Return a secret's value, for ``dbutils.secrets.get``."""
        ...

    def secret_scopes(self) -> Mapping[str, tuple[str, ...]]:
        """Return the keys of each scope, never values."""
        ...

    def task_value(self, task_key: str, key: str) -> str:
        """Return a task value as JSON text, for ``dbutils.jobs.taskValues.get``."""
        ...

    def set_task_value(self, key: str, value: str) -> None:
        """Store a task value, given as JSON text, under the running task."""
        ...

    def list_objects(self, uri: str, recurse: bool) -> tuple[StoredObject, ...]:
        """Return what is at or directly below an ``s3://`` URI; with ``recurse`` all objects."""
        ...

    def read_object(self, uri: str, max_bytes: int | None) -> bytes:
        """Return the content of an object, or its beginning."""
        ...

    def write_object(self, uri: str, content: bytes) -> None:
        """Write an object."""
        ...

    def delete_object(self, uri: str) -> None:
        """Remove an object, if there is one."""
        ...

    def cell_changed(self, cell: CellOutput) -> None:
        """Take note that a cell started or finished, so that a page can show it at once."""
        ...
