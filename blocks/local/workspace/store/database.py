"""The SQLite file: its schema, its one connection, its transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from blocks.local.workspace.errors import CannotStartError

SqlValue = str | int | float | bytes | None

# Also at the end of the schema. Ids are large, as in the cloud, so that a client that cuts them to
# 32 bits fails here too.
_SCHEMA_VERSION = 3
_SCHEMA = """
BEGIN;
CREATE TABLE job (
    job_id INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL
) STRICT;
CREATE INDEX job_by_name ON job (name);

-- active: 1 until the run has ended; queued runs are active too.
-- parent: the task run that started it.
CREATE TABLE run (
    run_id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    run_type TEXT NOT NULL,
    name TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    active INTEGER NOT NULL,
    stop TEXT,
    state TEXT NOT NULL,
    parent INTEGER
) STRICT;
CREATE INDEX run_by_job ON run (job_id, active);
CREATE INDEX run_by_parent ON run (parent) WHERE parent IS NOT NULL;
CREATE INDEX run_active ON run (active) WHERE active = 1;

-- The original run (round 0) and its repairs, each with the settings and parameters it used.
CREATE TABLE round (
    run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    round INTEGER NOT NULL,
    repair_id INTEGER,
    state TEXT NOT NULL,
    settings TEXT NOT NULL,
    parameters TEXT NOT NULL,
    requested INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    PRIMARY KEY (run_id, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    task_run_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    task_key TEXT NOT NULL,
    number INTEGER NOT NULL,
    round INTEGER NOT NULL,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    started INTEGER NOT NULL,
    executing INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    stop TEXT,
    ending TEXT,
    cluster_id TEXT,
    resolved TEXT,
    outcome TEXT
) STRICT;
CREATE INDEX attempt_by_run ON attempt (run_id);

CREATE TABLE output (
    task_run_id INTEGER PRIMARY KEY REFERENCES attempt ON DELETE CASCADE,
    result TEXT,
    truncated INTEGER NOT NULL,
    error TEXT NOT NULL,
    error_trace TEXT NOT NULL
) STRICT;

CREATE TABLE cell (
    task_run_id INTEGER NOT NULL REFERENCES attempt ON DELETE CASCADE,
    position INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (task_run_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_value (
    run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    task_key TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, task_key, name)
) STRICT, WITHOUT ROWID;

-- Tokens stay reserved when their run is deleted.
CREATE TABLE idempotency_token (
    token TEXT PRIMARY KEY,
    run_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE object (
    path TEXT PRIMARY KEY,
    object_id INTEGER NOT NULL UNIQUE,
    parent TEXT NOT NULL,
    object_type TEXT NOT NULL,
    language TEXT,
    format TEXT,
    content BLOB,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX object_by_parent ON object (parent);

CREATE TABLE secret_scope (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE secret (
    scope TEXT NOT NULL REFERENCES secret_scope ON DELETE CASCADE,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret_acl (
    scope TEXT NOT NULL REFERENCES secret_scope ON DELETE CASCADE,
    principal TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (scope, principal)
) STRICT, WITHOUT ROWID;

CREATE TABLE cluster (
    cluster_id TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    created INTEGER NOT NULL,
    terminated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Uploads to DBFS that are not complete. length: bytes that were answered.
CREATE TABLE upload (
    handle INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    overwrite INTEGER NOT NULL,
    length INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;

-- One row for each principal: who it is, as the API names it, and its level.
CREATE TABLE job_permission (
    job_id INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    level TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, principal)
) STRICT, WITHOUT ROWID;

CREATE TABLE sequence (last INTEGER NOT NULL) STRICT;
INSERT INTO sequence VALUES (100000000000000);
PRAGMA user_version = 3;
COMMIT;
"""


class Database:
    """One SQLite database, used from many threads.

    A single connection behind a re-entrant lock: statements take well under a millisecond, and
    whoever holds a transaction sees and makes changes that nobody else can come between.

    Args:
        path: The file; it is made if it does not exist.

    Raises:
        CannotStartError: Another version of the workspace wrote the file.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # Enough for a killed process, which is what this file has to survive.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._create_schema(path)

    def _create_schema(self, path: Path) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == _SCHEMA_VERSION:
            return
        if version:
            raise CannotStartError(
                f"{path} was written by another version of the local workspace;"
                " use another --state-dir or remove this one."
            )
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements inside one transaction; an inner one joins the outer one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def rows(self, sql: str, *parameters: SqlValue) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, *parameters: SqlValue) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
            return row

    def execute(self, sql: str, *parameters: SqlValue) -> int:
        """Carry out a statement and return the number of rows that it changed."""
        with self.transaction():
            return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, parameters: Sequence[Sequence[SqlValue]]) -> None:
        """Carry out a statement for each of many sets of parameters."""
        with self.transaction():
            self._connection.executemany(sql, parameters)

    def new_id(self) -> int:
        """Return an id that was never given before, to whatever the workspace keeps."""
        row = self.row("UPDATE sequence SET last = last + 1 RETURNING last")
        if row is None:
            raise LookupError("The database has lost its sequence of ids.")
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
