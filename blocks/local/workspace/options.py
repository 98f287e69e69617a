"""What whoever starts the workspace can choose about execution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How tasks are executed.

    Attributes:
        cluster_start_seconds: How long a new cluster takes at least, so that ``PENDING`` shows.
        shell_allowed: Whether ``%sh`` cells run. Off: what a notebook does by shell works on a
            cluster, but would change this machine.
        libraries_installed: Whether the libraries of clusters and environments, and what ``%pip``
            asks for, are installed, in folders of their own. Off: they are recorded, and checked
            for conflicts.
        parallel_notebooks: How many tasks run their notebooks at the same time at most; others
            stay ``PENDING``. Each takes a process of its own.
    """

    cluster_start_seconds: float = 0
    shell_allowed: bool = False
    libraries_installed: bool = False
    parallel_notebooks: int = 8
