"""An IPython shell that shows nothing on a terminal: all that its cells produce is recorded."""

from __future__ import annotations

import linecache
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets import Bool, Instance
from traitlets.config import Config

from blocks.local.workspace.notebook.outputs import STDOUT, OutputRecorder


class UnsupportedError(Exception):
    """A cell asks for something that the local workspace does not do."""


class CellCompiler(CachingCompiler):
    """Compiles each cell under a name that means something to the reader of a trace.

    Attributes:
        cell_name: The name of the cell that is compiled next.
        cell_names: All names so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # IPython's
        self.cell_name = ""
        self.cell_names: set[str] = set()

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """Return the name of the cell."""
        self.cell_names.add(self.cell_name)
        return self.cell_name


class RecordingDisplayHook(DisplayHook):
    """Records the value of a cell's last expression."""

    def start_displayhook(self) -> None:
        """Do nothing: there is no terminal."""

    def write_output_prompt(self) -> None:
        """Write no ``Out[1]:``."""

    def write_format_data(
        self, format_dict: Mapping[str, Any], md_dict: Mapping[str, Any] | None = None
    ) -> None:
        """Record the value."""
        _recorder(self.shell).bundle(format_dict)

    def finish_displayhook(self) -> None:
        """Do nothing: there is no terminal."""


class RecordingDisplayPublisher(DisplayPublisher):
    """Records what is displayed, figures included."""

    def publish(self, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Record an object that is displayed."""
        _recorder(self.shell).bundle(data)


class NotebookShell(InteractiveShell):
    """Runs the Python of cells: top-level await, magics, the value of the last expression."""

    compiler_class = CellCompiler
    displayhook_class = RecordingDisplayHook
    display_pub_class = RecordingDisplayPublisher
    recorder = Instance(OutputRecorder)
    shell_allowed = Bool(default_value=False)
    compile: CellCompiler

    @classmethod
    def create(
        cls, recorder: OutputRecorder, folder: Path, *, shell_allowed: bool
    ) -> NotebookShell:
        """Make the shell of this process, the one that ``get_ipython()`` gives.

        Args:
            recorder: Takes the outputs.
            folder: Where IPython may keep its files.
            shell_allowed: Whether ``!command`` runs; otherwise it fails.
        """
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.automagic = False
        config.InteractiveShell.cache_size = 0
        config.InteractiveShell.colors = "nocolor"
        return cls.instance(
            recorder=recorder,
            config=config,
            ipython_dir=str(folder / ".ipython"),
            shell_allowed=shell_allowed,
        )

    def run_source(self, source: str, name: str) -> BaseException | None:
        """Run Python source and return what it raised.

        Args:
            source: Python; line and cell magics are allowed.
            name: How a trace names this cell.
        """
        self.compile.cell_name = name
        # With history, because that is where IPython looks whether a cell ends with a semicolon.
        result = self.run_cell(source, store_history=True)  # type: ignore[no-untyped-call]  # IPython's
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        return error

    def run_script(self, source: str, name: str) -> BaseException | None:
        """Run a Python file, which has no magics and may end with ``sys.exit``.

        Args:
            source: Python.
            name: How a trace names the file.
        """
        self.compile.cell_names.add(name)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            exec(compile(source, name, "exec"), self.user_ns)  # noqa: S102 (the task's own code)
        except SystemExit as left:
            return None if left.code in {None, 0} else left
        except BaseException as error:  # noqa: BLE001 (whatever ends the file fails the task)
            return error
        return None

    def showtraceback(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in IPython
        """Show nothing: `failure` describes a failed cell."""

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in IPython
        """Show nothing: `failure` describes a failed cell."""

    def system(self, cmd: str) -> None:
        """Run ``!command``, where shell commands are allowed; its status is ``_exit_code``."""
        done = self._run_command(cmd)
        self.recorder.text(STDOUT, done.stdout)
        self.user_ns["_exit_code"] = done.returncode

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> SList | str:
        """Run ``x = !command``, where shell commands are allowed."""
        output = self._run_command(cmd).stdout
        return SList(output.splitlines()) if split else output

    def _run_command(self, cmd: str) -> subprocess.CompletedProcess[str]:
        if not self.shell_allowed:
            raise UnsupportedError(f"The local workspace runs no shell commands: !{cmd}")
        expanded = self.var_expand(cmd, depth=2)  # type: ignore[no-untyped-call]  # IPython's
        return subprocess.run(  # noqa: S603 (the notebook's own command, where it is allowed)
            ["bash", "-c", expanded],  # noqa: S607 (the user's own shell)
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


def _recorder(shell: object) -> OutputRecorder:
    return cast("NotebookShell", shell).recorder
