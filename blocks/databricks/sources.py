"""The notebooks that are uploaded: read from this machine, stored by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from blocks.databricks.client import JobsClient
from blocks.databricks.spec import NotebookTask

_PROJECT_ROOT = Path(__file__).resolve().parents[2]


def read_notebooks(tasks: Sequence[NotebookTask]) -> tuple[dict[str, str], list[str]]:
    """Read the notebooks that are not taken from a repository.

    Returns:
        Their text, by task key, and a clause for each that cannot be read.
    """
    sources = {}
    problems = []
    for task in tasks:
        if task.source == "WORKSPACE":
            path = _PROJECT_ROOT / task.notebook  # an absolute path stays as it is
            try:
                sources[task.task_key] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                problems.append(
                    f"task {task.task_key!r} names the notebook {task.notebook!r}, which cannot "
                    f"be read ({reason}); paths are relative to the project's root"
                )
    return sources, problems


def upload_notebooks(
    client: JobsClient, folder: str, tasks: Sequence[NotebookTask], sources: Mapping[str, str]
) -> dict[str, str]:
    """Store each notebook that is not there yet, and return its path by task key."""
    paths = {}
    for task in tasks:
        if (source := sources.get(task.task_key)) is None:
            continue
        path = workspace_path(folder, Path(task.notebook).stem, source)
        if not client.workspace_object_exists(path):
            client.import_notebook(path, source)
        paths[task.task_key] = path
    return paths


def workspace_path(folder: str, notebook_name: str, source: str) -> str:
    """Return where a notebook of this content is stored: another content, another path.

    A run that is repaired later finds the notebook that it started with, whatever has been
    uploaded since.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return f"{folder.rstrip('/')}/{digest}/{notebook_name}"
