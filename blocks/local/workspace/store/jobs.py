"""Saved jobs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.local.workspace.store.database import Database


@dataclass(frozen=True)
class Job:
    """A saved job.

    Attributes:
        job_id: Its id.
        created: Epoch milliseconds.
        settings: As the API shows them.
    """

    job_id: int
    created: int
    settings: Mapping[str, Any]


class Jobs:
    """The table of saved jobs.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, settings: Mapping[str, Any], created: int) -> int:
        """Store a new job and return its id."""
        with self._database.transaction():
            job_id = self._database.new_id()
            self._database.execute(
                "INSERT INTO job VALUES (?, ?, ?, ?)",
                job_id,
                created,
                _folded(settings["name"]),
                json.dumps(settings),
            )
        return job_id

    def get(self, job_id: int) -> Job | None:
        """Return a job, or None."""
        row = self._database.row("SELECT * FROM job WHERE job_id = ?", job_id)
        return None if row is None else _job(row)

    def change(self, job_id: int, settings: Mapping[str, Any]) -> None:
        """Replace the settings of a job."""
        self._database.execute(
            "UPDATE job SET name = ?, settings = ? WHERE job_id = ?",
            _folded(settings["name"]),
            json.dumps(settings),
            job_id,
        )

    def delete(self, job_id: int) -> bool:
        """Remove a job and tell whether there was one. Its runs stay."""
        return self._database.execute("DELETE FROM job WHERE job_id = ?", job_id) > 0

    def list_page(self, *, name: str | None, skip: int, limit: int) -> list[Job]:
        """Return jobs, most recently created first.

        Args:
            name: Only jobs of this name, in any case.
            skip: How many to leave out at the start.
            limit: How many to return at most.
        """
        rows = self._database.rows(
            "SELECT * FROM job WHERE ?1 IS NULL OR name = ?1"
            " ORDER BY job_id DESC LIMIT ?2 OFFSET ?3",
            None if name is None else _folded(name),
            limit,
            skip,
        )
        return [_job(row) for row in rows]


def _folded(name: str) -> str:
    """Return a name as it is compared: the filter of ``jobs/list`` ignores case."""
    return name.casefold()


def _job(row: sqlite3.Row) -> Job:
    return Job(row["job_id"], row["created"], json.loads(row["settings"]))
