"""What a notebook can ask about its own run, the way that notebooks on Databricks do it.

``dbutils.notebook.entry_point.getDbutils().notebook().getContext()`` leads there to an object of
the JVM. It is not documented, yet much used; the names here are the ones that notebooks use.
"""

from __future__ import annotations

import json
from typing import Any

from blocks.local.workspace.notebook.contract import NotebookRequest


class Option:
    """A value that may be absent: Scala's ``Option``."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def get(self) -> str:
        """Return the value."""
        if self._value is None:
            raise LookupError("None.get")
        return self._value

    def isDefined(self) -> bool:  # noqa: N802 - theirs
        """Return whether there is a value."""
        return self._value is not None


class Tags:
    """The tags of a context."""

    def __init__(self, tags: dict[str, str]) -> None:
        self._tags = tags

    def get(self, name: str) -> Option:
        """Return a tag."""
        return Option(self._tags.get(name))


class NotebookContext:
    """Facts about the run that a notebook belongs to."""

    def __init__(self, request: NotebookRequest) -> None:
        context = request.context
        self._path = request.notebook.path
        self._run_id = context.get("task_run_id")
        tags = {
            "jobId": context.get("job_id"),
            "multitaskParentRunId": context.get("run_id"),
            "runId": self._run_id,
            "taskKey": context.get("task_key"),
        }
        self._tags = {name: value for name, value in tags.items() if value is not None}

    def notebookPath(self) -> Option:  # noqa: N802 - theirs
        """Return the notebook's path in the workspace."""
        return Option(self._path)

    def currentRunId(self) -> Option:  # noqa: N802 - theirs
        """Return the id of the task run."""
        return Option(self._run_id)

    def tags(self) -> Tags:
        """Return ``jobId``, ``multitaskParentRunId``, ``runId`` and ``taskKey``."""
        return Tags(self._tags)

    def toJson(self) -> str:  # noqa: N802 - theirs
        """Return all facts as JSON."""
        facts: dict[str, Any] = {
            "currentRunId": self._run_id and {"id": int(self._run_id)},
            "extraContext": {"notebook_path": self._path},
            "tags": self._tags,
        }
        return json.dumps(facts)

    safeToJson = toJson  # noqa: N815 - theirs


class EntryPoint:
    """The way to the context: ``getDbutils().notebook().getContext()``."""

    def __init__(self, context: NotebookContext) -> None:
        self._context = context

    def getDbutils(self) -> EntryPoint:  # noqa: N802 - theirs
        """Return this object, which stands for each step of the way."""
        return self

    def notebook(self) -> EntryPoint:
        """Return this object, which stands for each step of the way."""
        return self

    def getContext(self) -> NotebookContext:  # noqa: N802 - theirs
        """Return the context."""
        return self._context
