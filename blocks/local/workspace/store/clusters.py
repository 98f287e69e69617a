"""All-purpose clusters: those that somebody made, and that outlive runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.local.workspace.store.database import Database


@dataclass(frozen=True)
class AllPurposeCluster:
    """What is kept of a cluster, whether it is up or not.

    Attributes:
        cluster_id: As the API shows it.
        settings: As they were given, with what the server fills in.
        created: Epoch milliseconds.
        terminated: When somebody last terminated it, epoch milliseconds; 0 if it never was, or was
            started since.
    """

    cluster_id: str
    settings: Mapping[str, Any]
    created: int
    terminated: int = 0


class Clusters:
    """The table of all-purpose clusters.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, cluster: AllPurposeCluster) -> None:
        """Store a cluster in the place of what was there."""
        self._database.execute(
            "INSERT OR REPLACE INTO cluster VALUES (?, ?, ?, ?)",
            cluster.cluster_id,
            json.dumps(cluster.settings),
            cluster.created,
            cluster.terminated,
        )

    def get(self, cluster_id: str) -> AllPurposeCluster | None:
        """Return a cluster, or None."""
        row = self._database.row("SELECT * FROM cluster WHERE cluster_id = ?", cluster_id)
        return None if row is None else _cluster(row)

    def list(self) -> tuple[AllPurposeCluster, ...]:
        """Return all clusters, oldest first."""
        rows = self._database.rows("SELECT * FROM cluster ORDER BY created, cluster_id")
        return tuple(_cluster(row) for row in rows)

    def delete(self, cluster_id: str) -> None:
        """Remove a cluster."""
        self._database.execute("DELETE FROM cluster WHERE cluster_id = ?", cluster_id)


def _cluster(row: sqlite3.Row) -> AllPurposeCluster:
    settings = json.loads(row["settings"])
    return AllPurposeCluster(row["cluster_id"], settings, row["created"], row["terminated"])
