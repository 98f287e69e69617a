"""Runs a notebook, cell by cell, in this process."""

from __future__ import annotations

import importlib
import posixpath
import shlex
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

from pyspark.sql.connect.functions import udf
from pyspark.sql.connect.session import SparkSession

from blocks.local.workspace.notebook.contract import (
    CellOutput,
    Host,
    NotebookFile,
    NotebookOutcome,
    NotebookRequest,
)
from blocks.local.workspace.notebook.dbutils import DBUtils, NotebookExit, resolve
from blocks.local.workspace.notebook.display import Display
from blocks.local.workspace.notebook.failure import error_line, error_trace
from blocks.local.workspace.notebook.outputs import (
    STDERR,
    STDOUT,
    OutputRecorder,
    OutputStream,
    Redactor,
)
from blocks.local.workspace.notebook.shell import NotebookShell, UnsupportedError
from blocks.local.workspace.notebook.source import Cell, NotebookFormatError, parse


class Kernel:
    """One execution of a notebook. A process has one kernel: IPython's shell is a singleton.

    Args:
        request: What to run.
        host: The workspace.
        spark: The notebook's own session.
        folder: A folder for the files of this execution.
    """

    def __init__(
        self, request: NotebookRequest, host: Host, spark: SparkSession, folder: Path
    ) -> None:
        self._notebook = request.notebook
        self._is_script = request.notebook.format == "SCRIPT"
        self._shell_allowed = request.shell_allowed
        self._pip_installs = request.pip_installs
        self._host = host
        self._spark = spark
        self._redact = Redactor()
        self._recorder = OutputRecorder(self._redact)
        self._display = Display(self._recorder)
        self._shell = NotebookShell.create(
            self._recorder, folder, shell_allowed=request.shell_allowed
        )
        self._running = [request.notebook.path]
        self._dbutils = DBUtils(request, host, self._redact, self._forget_variables)
        self._define_globals()
        if self._is_script:
            sys.argv = [request.notebook.path, *request.arguments]
            self._shell.user_ns["__file__"] = request.notebook.path
        magics = self._shell.magics_manager
        magics.register_function(self._magic_run, magic_name="run")
        magics.register_function(self._magic_pip, magic_name="pip")

    def run(self) -> NotebookOutcome:
        """Run the cells up to the first one that fails or leaves the notebook."""
        try:
            cells = parse(self._notebook)
        except NotebookFormatError as refused:
            return NotebookOutcome("failed", error=error_line(refused), error_trace=str(refused))
        records = [
            CellOutput(index, cell.title, cell.language, cell.source)
            for index, cell in enumerate(cells)
        ]
        for record in records:
            self._host.cell_changed(record)
        error: BaseException | None = None
        for index, cell in enumerate(cells):
            records[index], error = self._run_recorded(cell, records[index])
            if error is not None:
                break
        return self._outcome(error, tuple(records))

    def _define_globals(self) -> None:
        self._shell.user_ns.update(
            spark=self._spark,
            sql=self._spark.sql,
            table=self._spark.table,
            udf=udf,
            dbutils=self._dbutils,
            getArgument=self._dbutils.widgets.getArgument,
            display=self._display.display,
            displayHTML=self._display.display_html,
        )

    def _forget_variables(self) -> None:
        self._shell.reset(new_session=False)  # type: ignore[no-untyped-call]  # IPython's
        self._define_globals()

    def _run_recorded(
        self, cell: Cell, record: CellOutput
    ) -> tuple[CellOutput, BaseException | None]:
        record = replace(record, started=_now())
        self._host.cell_changed(record)
        stdout = OutputStream(self._recorder, STDOUT)
        stderr = OutputStream(self._recorder, STDERR)
        with redirect_stdout(stdout), redirect_stderr(stderr):
            error = self._run_cell(cell, f"{self._notebook.path}, cell {record.index + 1}")
        failed = error is not None and not isinstance(error, NotebookExit)
        record = replace(
            record,
            outputs=self._recorder.take(),
            finished=_now(),
            error=self._redact(error_line(error)) if error is not None and failed else "",
        )
        self._host.cell_changed(record)
        return record, error

    def _run_cell(self, cell: Cell, name: str) -> BaseException | None:
        match cell.language:
            case "markdown":
                self._recorder.bundle({"text/markdown": cell.body})
                return None
            case "python" if self._is_script:
                return self._shell.run_script(cell.source, self._notebook.path)
            case "python":
                return self._shell.run_source(cell.body, name)
            case "sh" if self._shell_allowed:
                return self._run_shell(cell.body)
            case "pip" | "run":
                return self._shell.run_source(cell.source, name)
            case "sql":
                return self._run_sql(cell.body)
            case other:
                return UnsupportedError(
                    f"The local workspace runs Python and SQL cells, not %{other} ones."
                )

    def _run_sql(self, text: str) -> Exception | None:
        try:
            frame = self._spark.sql(text.strip().removesuffix(";"))
            self._shell.user_ns["_sqldf"] = frame
            self._display.display(frame)
        except Exception as error:  # noqa: BLE001 - whatever the engine says fails the cell
            return error
        return None

    def _run_shell(self, text: str) -> Exception | None:
        """``%sh``: what fails in it fails the cell with ``%sh -e`` only, as in the cloud."""
        options, _, script = text.partition("\n") if text.startswith("-e") else ("", "", text)
        command = ["bash", *options.split(), "-c", script]
        try:
            done = subprocess.run(  # noqa: S603 (the notebook's own script, where it is allowed)
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
        except OSError as error:
            return error
        self._recorder.text(STDOUT, done.stdout.decode(errors="replace"))
        if options and done.returncode:
            return subprocess.CalledProcessError(done.returncode, "%sh -e")
        return None

    def _magic_run(self, line: str) -> None:
        """``%run``: run another notebook's cells in this one's namespace."""
        words = shlex.split(line, comments=True)
        if len(words) != 1:
            raise UnsupportedError(
                f"%run takes the path of one notebook, without arguments: {line}"
            )
        path = resolve(posixpath.dirname(self._running[-1]), words[0])
        if path in self._running:
            raise RecursionError(f"%run of a notebook that is running: {path}")
        self._running.append(path)
        try:
            self._include(self._read(path))
        finally:
            self._running.pop()

    def _include(self, notebook: NotebookFile) -> None:
        for number, cell in enumerate(parse(notebook), start=1):
            error = self._run_cell(cell, f"{notebook.path}, cell {number}")
            if error is not None:
                raise error

    def _read(self, path: str) -> NotebookFile:
        try:
            return self._host.read_notebook(path)
        except KeyError:
            raise FileNotFoundError(f"Notebook not found: {path}") from None

    def _magic_pip(self, line: str) -> None:
        """``%pip``: install for this notebook, or say that nothing was installed."""
        if not self._pip_installs:
            print(
                f"%pip {line}: not installed. "
                "Notebooks run with the packages of the local workspace's own environment."
            )
            return
        done = self._host.pip(tuple(shlex.split(line, comments=True)))
        print(done.output, end="")
        if done.status:
            raise subprocess.CalledProcessError(done.status, f"pip {line}")
        if done.site_packages not in sys.path:
            sys.path.insert(0, done.site_packages)
        importlib.invalidate_caches()

    def _outcome(
        self, error: BaseException | None, cells: tuple[CellOutput, ...]
    ) -> NotebookOutcome:
        if error is None:
            return NotebookOutcome("succeeded", cells=cells)
        if isinstance(error, NotebookExit):
            return NotebookOutcome("succeeded", result=self._redact(error.value), cells=cells)
        return NotebookOutcome(
            "failed",
            error=self._redact(error_line(error)),
            error_trace=self._redact(error_trace(error, self._shell.compile.cell_names)),
            cells=cells,
        )


def _now() -> int:
    return time.time_ns() // 1_000_000
