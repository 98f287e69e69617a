"""What the engine needs to run notebooks: a cluster to attach to, and a process."""

from __future__ import annotations

from typing import Protocol

from blocks.local.workspace.notebook.contract import Host, NotebookOutcome, NotebookRequest


class Cluster(Protocol):
    """A Spark engine that notebooks attach to."""

    @property
    def remote(self) -> str:
        """Spark Connect URL."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        ...

    def stop(self) -> None:
        """End it with all its sessions."""
        ...


class Notebook(Protocol):
    """One execution of a notebook in a process of its own."""

    def start(self) -> None:
        """Start the process."""
        ...

    def wait(self, timeout: float | None = None) -> NotebookOutcome:
        """Serve the notebook until it ends; ``TimeoutError`` if that takes too many seconds."""
        ...

    def kill(self) -> None:
        """End the process at once, from any thread."""
        ...


class Executor(Protocol):
    """Makes clusters and notebook processes."""

    def prepare(self) -> None:
        """Get ready in the background, because a notebook will soon be run."""
        ...

    def start_cluster(self) -> Cluster:
        """Start a cluster and return it when notebooks can attach to it."""
        ...

    def notebook(self, request: NotebookRequest, host: Host) -> Notebook:
        """Return an execution of a notebook that has not started yet."""
        ...


class SparkExecutor:
    """The executor of a real workspace: Spark Connect servers and notebook processes.

    The notebook runtime is imported when it is first needed, so that a workspace that only stores
    things starts quickly and stays small.
    """

    def prepare(self) -> None:
        """See ``Executor``."""
        from blocks.local.workspace.notebook.process import prepare

        prepare()

    def start_cluster(self) -> Cluster:
        """See ``Executor``."""
        from blocks.local.workspace.notebook.cluster import SparkCluster

        return SparkCluster.start()

    def notebook(self, request: NotebookRequest, host: Host) -> Notebook:
        """See ``Executor``."""
        from blocks.local.workspace.notebook.process import NotebookProcess

        return NotebookProcess(request, host)
