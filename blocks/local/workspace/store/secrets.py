"""Secret scopes, their secrets, and who may use them.

Values are kept as they are; the state folder is private.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocks.local.workspace.store.database import Database


@dataclass(frozen=True)
class SecretInfo:
    """What may be told of a secret.

    Attributes:
        key: Its name in the scope.
        updated: Epoch milliseconds.
    """

    key: str
    updated: int


@dataclass(frozen=True)
class SecretAcl:
    """What a principal may do with a scope.

    Attributes:
        principal: A user, a group or a service principal.
        permission: ``READ``, ``WRITE`` or ``MANAGE``.
    """

    principal: str
    permission: str


class Secrets:
    """The tables of scopes, secrets and permissions.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_scope(self, name: str, manager: str) -> bool:
        """Make a scope that a principal manages, and tell whether there was none."""
        with self._database.transaction():
            added = self._database.execute("INSERT OR IGNORE INTO secret_scope VALUES (?)", name)
            if added:
                self.put_acl(name, SecretAcl(manager, "MANAGE"))
        return added > 0

    def delete_scope(self, name: str) -> bool:
        """Remove a scope with all that belongs to it and tell whether there was one."""
        return self._database.execute("DELETE FROM secret_scope WHERE name = ?", name) > 0

    def scopes(self) -> tuple[str, ...]:
        """Return the names of the scopes."""
        rows = self._database.rows("SELECT name FROM secret_scope ORDER BY name")
        return tuple(row["name"] for row in rows)

    def put(self, scope: str, key: str, value: bytes, now: int) -> None:
        """Store a secret in a scope that exists, in the place of what was there."""
        self._database.execute(
            "INSERT OR REPLACE INTO secret VALUES (?, ?, ?, ?)", scope, key, value, now
        )

    def list(self, scope: str) -> tuple[SecretInfo, ...]:
        """Return what may be told of the secrets of a scope."""
        rows = self._database.rows(
            "SELECT name, updated FROM secret WHERE scope = ? ORDER BY name", scope
        )
        return tuple(SecretInfo(row["name"], row["updated"]) for row in rows)

    def get(self, scope: str, key: str) -> bytes:
        """Return the value of a secret.

        Raises:
            KeyError: There is no such secret.
        """
        row = self._database.row(
            "SELECT value FROM secret WHERE scope = ? AND name = ?", scope, key
        )
        if row is None:
            raise KeyError(f"{scope}/{key}")
        return bytes(row["value"])

    def delete(self, scope: str, key: str) -> bool:
        """Remove a secret and tell whether there was one."""
        deleted = self._database.execute(
            "DELETE FROM secret WHERE scope = ? AND name = ?", scope, key
        )
        return deleted > 0

    def put_acl(self, scope: str, acl: SecretAcl) -> None:
        """Store what a principal may do with a scope that exists, in the place of the old."""
        self._database.execute(
            "INSERT OR REPLACE INTO secret_acl VALUES (?, ?, ?)",
            scope,
            acl.principal,
            acl.permission,
        )

    def acls(self, scope: str) -> tuple[SecretAcl, ...]:
        """Return who may do what with a scope."""
        rows = self._database.rows(
            "SELECT principal, permission FROM secret_acl WHERE scope = ? ORDER BY principal", scope
        )
        return tuple(SecretAcl(row["principal"], row["permission"]) for row in rows)

    def delete_acl(self, scope: str, principal: str) -> bool:
        """Take from a principal what it may do, and tell whether there was anything."""
        deleted = self._database.execute(
            "DELETE FROM secret_acl WHERE scope = ? AND principal = ?", scope, principal
        )
        return deleted > 0
