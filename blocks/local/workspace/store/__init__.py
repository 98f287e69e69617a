"""What the workspace keeps: one SQLite file, read and written through small record classes.

Only the files of DBFS lie beside it, where the Spark engine can read them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from blocks.local.workspace.store.clusters import Clusters
from blocks.local.workspace.store.database import Database
from blocks.local.workspace.store.dbfs import Dbfs
from blocks.local.workspace.store.jobs import Jobs
from blocks.local.workspace.store.objects import Objects
from blocks.local.workspace.store.outputs import Outputs
from blocks.local.workspace.store.permissions import Permissions
from blocks.local.workspace.store.runs import Runs
from blocks.local.workspace.store.secrets import Secrets


class Store:
    """Everything that survives a restart.

    Attributes:
        jobs: Saved jobs.
        runs: Runs, rounds, attempts and idempotency tokens.
        outputs: What notebooks left behind.
        objects: Folders, notebooks and files.
        clusters: All-purpose clusters.
        dbfs: Files.
        secrets: Scopes and their secrets.
        permissions: Grants on jobs.

    Args:
        path: The database file; it is made if it does not exist. Files are kept in its folder.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.jobs = Jobs(self._database)
        self.runs = Runs(self._database)
        self.outputs = Outputs(self._database)
        self.objects = Objects(self._database)
        self.clusters = Clusters(self._database)
        self.dbfs = Dbfs(self._database, path.parent)
        self.secrets = Secrets(self._database)
        self.permissions = Permissions(self._database)

    def transaction(self) -> AbstractContextManager[None]:
        """Keep everybody else out while something is read, decided and written."""
        return self._database.transaction()

    def new_id(self) -> int:
        """Return an id that was never given before."""
        return self._database.new_id()

    def close(self) -> None:
        """Close the database."""
        self._database.close()
