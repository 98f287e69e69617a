"""The workspace's tree of folders, notebooks and files."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from blocks.local.workspace.store.database import Database


class ObjectType(StrEnum):
    """``object_type``."""

    DIRECTORY = "DIRECTORY"
    NOTEBOOK = "NOTEBOOK"
    FILE = "FILE"


@dataclass(frozen=True)
class WorkspaceObject:
    """A folder, a notebook or a file.

    Attributes:
        path: Absolute, normalised.
        object_type: Which of the three.
        content: Its bytes; empty for a folder.
        language: ``PYTHON`` … of a notebook, else None.
        format: ``SOURCE`` or ``JUPYTER`` of a notebook, else None.
        object_id: Given by the store.
        created: Epoch milliseconds.
        modified: Epoch milliseconds.
    """

    path: str
    object_type: ObjectType
    content: bytes = b""
    language: str | None = None
    format: str | None = None
    object_id: int = 0
    created: int = 0
    modified: int = 0


def normalise(path: str) -> str:
    """Return the one spelling of a workspace path: no double slashes, no ``/Workspace`` prefix."""
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] == "Workspace":
        del parts[0]
    return "/" + "/".join(parts)


def parent(path: str) -> str:
    """Return the folder of a normalised path; the root's is the root."""
    return path.rpartition("/")[0] or "/"


class Objects:
    """The table of workspace objects; paths are normalised ones.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, item: WorkspaceObject, now: int) -> None:
        """Store an object in the place of what was there; an object keeps its id."""
        with self._database.transaction():
            old = self.get(item.path)
            self._database.execute(
                "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                item.path,
                self._database.new_id() if old is None else old.object_id,
                parent(item.path),
                item.object_type,
                item.language,
                item.format,
                item.content,
                now if old is None else old.created,
                now,
            )

    def get(self, path: str) -> WorkspaceObject | None:
        """Return an object, or None; the root always exists."""
        if path == "/":
            return WorkspaceObject("/", ObjectType.DIRECTORY)
        row = self._database.row("SELECT * FROM object WHERE path = ?", path)
        return None if row is None else _object(row)

    def children(self, path: str) -> list[WorkspaceObject]:
        """Return what is directly in a folder, by name."""
        rows = self._database.rows("SELECT * FROM object WHERE parent = ? ORDER BY path", path)
        return [_object(row) for row in rows]

    def delete(self, path: str) -> None:
        """Remove an object with everything below it."""
        # A range instead of LIKE: paths may contain the wildcards of LIKE. "0" follows "/".
        self._database.execute(
            "DELETE FROM object WHERE path = ?1 OR (path > ?1 || '/' AND path < ?1 || '0')", path
        )


def _object(row: sqlite3.Row) -> WorkspaceObject:
    return WorkspaceObject(
        path=row["path"],
        object_type=ObjectType(row["object_type"]),
        content=row["content"],
        language=row["language"],
        format=row["format"],
        object_id=row["object_id"],
        created=row["created"],
        modified=row["modified"],
    )
