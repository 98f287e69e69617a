"""The folder in which a workspace keeps its state."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.local.workspace.certificates import write_private
from blocks.local.workspace.errors import CannotStartError


@dataclass(frozen=True)
class StateDir:
    """The folder and the files in it.

    Attributes:
        path: The folder; it exists.
    """

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "workspace.db"

    def token(self) -> str:
        """Return the bearer token of the API; it is made once, in the form of the cloud's."""
        file = self.path / "token"
        if not file.exists():
            write_private(file, f"dapi{secrets.token_hex(16)}".encode())
        return file.read_text().strip()


@contextmanager
def open_state_dir(path: Path) -> Iterator[StateDir]:
    """Make the folder if it is missing, and keep other workspaces out of it.

    The lock goes when the process ends, however it ends.

    Raises:
        CannotStartError: Another workspace is running there.
    """
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    with (path / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStartError(
                f"A local workspace is already running on {path}: stop it, or use another"
                " --state-dir."
            ) from None
        yield StateDir(path)
