"""Who may do what with a job. The one user of this workspace may do everything regardless."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blocks.local.workspace.store.database import Database


@dataclass(frozen=True)
class Grant:
    """The level of one principal.

    Attributes:
        kind: ``user_name``, ``group_name`` or ``service_principal_name``.
        principal: Its name.
        level: ``CAN_VIEW``, ``CAN_MANAGE_RUN``, ``CAN_MANAGE`` or ``IS_OWNER``.
    """

    kind: str
    principal: str
    level: str


class Permissions:
    """The table of grants on jobs.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: int) -> list[Grant]:
        """Return the grants on a job; none if they were never changed."""
        rows = self._database.rows(
            "SELECT * FROM job_permission WHERE job_id = ? ORDER BY kind DESC, principal", job_id
        )
        return [Grant(row["kind"], row["principal"], row["level"]) for row in rows]

    def set(self, job_id: int, grants: Iterable[Grant]) -> None:
        """Replace the grants on a job."""
        with self._database.transaction():
            self._database.execute("DELETE FROM job_permission WHERE job_id = ?", job_id)
            self._database.execute_many(
                "INSERT INTO job_permission VALUES (?, ?, ?, ?)",
                [(job_id, grant.kind, grant.principal, grant.level) for grant in grants],
            )
