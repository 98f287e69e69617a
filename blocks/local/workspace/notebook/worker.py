"""The process of a notebook, from its first line to its last."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from blocks.local.workspace.notebook.channel import RemoteHost
from blocks.local.workspace.notebook.contract import NotebookOutcome, NotebookRequest
from blocks.local.workspace.notebook.environment import notebook_environment
from blocks.local.workspace.notebook.failure import error_line

PRELOAD = "blocks.local.workspace.notebook.preload"


def run(request: NotebookRequest, connection: Connection[Any, Any], folder: Path) -> None:
    """Run a notebook, report to the other end of ``connection``, and end with all children.

    Args:
        request: What to run.
        connection: The pipe to the workspace.
        folder: The working directory, empty.
    """
    # A process group of its own: what the notebook starts ends with it.
    os.setsid()
    if workspace := multiprocessing.parent_process():
        watch = threading.Thread(
            target=_end_with_workspace, args=(workspace.sentinel, folder), daemon=True
        )
        watch.start()
    environment = notebook_environment(os.environ, request.spark_remote)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.update(request.environment)
    os.chdir(folder)
    sys.path[:0] = request.libraries
    _silence_descriptors()
    host = RemoteHost(connection)
    try:
        _run(request, host, folder)
    except Exception as error:  # noqa: BLE001 - a fault of the runtime must not look like a kill
        with suppress(OSError):
            host.ended(NotebookOutcome("failed", error=error_line(error)))
    _end_process_group()


def _run(request: NotebookRequest, host: RemoteHost, folder: Path) -> None:
    # Imported here: the workspace imports this module too, and needs neither Spark nor IPython.
    importlib.import_module(PRELOAD)
    from blocks.local.workspace.notebook.kernel import Kernel
    from blocks.local.workspace.notebook.session import attach

    spark = attach(request.spark_remote, request.dbfs)
    host.ended(Kernel(request, host, spark, folder).run())
    # After the report, because the client waits here for long if the cluster has died.
    spark.stop()


def _end_with_workspace(sentinel: int, folder: Path) -> None:
    wait([sentinel])
    shutil.rmtree(folder, ignore_errors=True)
    _end_process_group()


def _end_process_group() -> None:
    os.killpg(0, signal.SIGKILL)


def _silence_descriptors() -> None:
    # What native code and subprocesses print must not mix with the workspace's own output.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
