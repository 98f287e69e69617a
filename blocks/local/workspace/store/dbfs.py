"""DBFS: a folder of files, which notebooks and the Spark engine see too, and uploads into it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from blocks.local.workspace.notebook.dbfs import dbfs_file, dbfs_uri
from blocks.local.workspace.store.database import Database

# https://docs.databricks.com/api/workspace/dbfs/create
UPLOAD_IDLE_MS = 10 * 60 * 1000


@dataclass(frozen=True)
class FileStatus:
    """What may be told of a file or folder.

    Attributes:
        path: In DBFS, ``/…``.
        is_dir: Whether it is a folder.
        size: Bytes, 0 for a folder.
        modified: Epoch milliseconds.
    """

    path: str
    is_dir: bool
    size: int
    modified: int


class Dbfs:
    """The files of DBFS. Paths are ``/…`` or ``dbfs:/…``.

    Every method raises ``ValueError`` for a path that is not in DBFS, and ``OSError`` for what the
    disk refuses.

    Args:
        database: Where uploads are kept that are not complete.
        folder: Of the workspace's state.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.root = folder / "dbfs"
        self._uploads = folder / "uploads"
        self.root.mkdir(exist_ok=True)
        self._uploads.mkdir(exist_ok=True)

    def local(self, path: str) -> Path:
        """Return the file or folder, on this machine, of a path."""
        return dbfs_file(self.root, path)

    def status(self, path: str) -> FileStatus:
        """Return what may be told of a file or folder.

        Raises:
            FileNotFoundError: There is nothing.
        """
        return self._status(self.local(path))

    def list(self, path: str) -> tuple[FileStatus, ...]:
        """Return the entries of a folder by name, or a file itself.

        Raises:
            FileNotFoundError: There is nothing.
        """
        target = self.local(path)
        status = self._status(target)
        if not status.is_dir:
            return (status,)
        return tuple(self._status(entry) for entry in sorted(target.iterdir()))

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Return a part of a file, which is shorter where the file ends.

        Raises:
            FileNotFoundError: There is nothing.
            IsADirectoryError: It is a folder.
        """
        size = self.status(path).size
        with self.local(path).open("rb") as stream:
            stream.seek(min(offset, size))
            return stream.read(length)

    def write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        """Write a file in one step, and the folders above it.

        Raises:
            FileExistsError: There is a folder, or a file that is not to be replaced.
        """
        upload = self._uploads / uuid4().hex
        try:
            upload.write_bytes(content)
            self._publish(upload, path, overwrite=overwrite)
        finally:
            upload.unlink(missing_ok=True)

    def mkdirs(self, path: str) -> None:
        """Make a folder, and those above it.

        Raises:
            FileExistsError: There is a file at the path.
            NotADirectoryError: There is a file above it.
        """
        self.local(path).mkdir(parents=True, exist_ok=True)

    def move(self, source: str, destination: str) -> None:
        """Move a file, or a folder with everything in it.

        Raises:
            FileNotFoundError: There is no such source, or no folder for the destination.
            FileExistsError: There is something at the destination.
        """
        origin, target = self._below_root(source), self._below_root(destination)
        with self._database.transaction():
            if not origin.exists():
                raise FileNotFoundError(source)
            if target.exists():
                raise FileExistsError(destination)
            origin.rename(target)

    def delete(self, path: str, *, recursive: bool) -> None:
        """Remove a file, an empty folder, or with ``recursive`` any; nothing if there is none."""
        target = self._below_root(path)
        if not os.path.lexists(target):
            return
        if not target.is_dir():
            target.unlink()
        elif recursive:
            shutil.rmtree(target)
        else:
            target.rmdir()

    def begin_upload(self, path: str, now: int, *, overwrite: bool) -> int:
        """Begin to upload a file in blocks, and return the handle of the upload.

        Raises:
            FileExistsError: There is a folder, or a file that is not to be replaced.
        """
        with self._database.transaction():
            self._check_free(self.local(path), overwrite=overwrite)
            for row in self._database.rows(
                "DELETE FROM upload WHERE used < ? RETURNING handle", now - UPLOAD_IDLE_MS
            ):
                self._file_of(row["handle"]).unlink(missing_ok=True)
            handle = self._database.new_id()
            self._file_of(handle).touch()
            self._database.execute(
                "INSERT INTO upload VALUES (?, ?, ?, 0, ?)", handle, path, overwrite, now
            )
        return handle

    def add_block(self, handle: int, block: bytes, now: int) -> None:
        """Append to an upload.

        Raises:
            KeyError: There is no such upload, or it was idle for too long.
        """
        with self._database.transaction():
            _, length, _ = self._upload(handle, now)
            with self._file_of(handle).open("r+b") as stream:
                # What a call that was never answered has left behind does not count.
                stream.truncate(length)
                stream.seek(length)
                stream.write(block)
            self._database.execute(
                "UPDATE upload SET length = ?, used = ? WHERE handle = ?",
                length + len(block),
                now,
                handle,
            )

    def end_upload(self, handle: int, now: int) -> None:
        """Make an uploaded file appear, and the folders above it.

        Raises:
            KeyError: There is no such upload, or it was idle for too long.
            FileExistsError: Meanwhile there is a folder, or a file that is not to be replaced.
        """
        with self._database.transaction():
            path, length, overwrite = self._upload(handle, now)
            os.truncate(self._file_of(handle), length)
            self._publish(self._file_of(handle), path, overwrite=overwrite)
            self._database.execute("DELETE FROM upload WHERE handle = ?", handle)

    def _upload(self, handle: int, now: int) -> tuple[str, int, bool]:
        row = self._database.row(
            "SELECT * FROM upload WHERE handle = ? AND used >= ?", handle, now - UPLOAD_IDLE_MS
        )
        if row is None:
            raise KeyError(handle)
        return row["path"], row["length"], bool(row["overwrite"])

    def _file_of(self, handle: int) -> Path:
        return self._uploads / str(handle)

    def _publish(self, upload: Path, path: str, *, overwrite: bool) -> None:
        target = self.local(path)
        with self._database.transaction():
            self._check_free(target, overwrite=overwrite)
            target.parent.mkdir(parents=True, exist_ok=True)
            upload.replace(target)

    def _check_free(self, target: Path, *, overwrite: bool) -> None:
        if target.is_dir() or (target.exists() and not overwrite):
            raise FileExistsError(target)

    def _below_root(self, path: str) -> Path:
        target = self.local(path)
        if target == self.root:
            raise ValueError("The root folder of DBFS cannot be moved or deleted.")
        return target

    def _status(self, target: Path) -> FileStatus:
        try:
            stat = target.stat()
        except NotADirectoryError:
            raise FileNotFoundError(target) from None
        is_dir = target.is_dir()
        return FileStatus(
            path=dbfs_uri(self.root, target).removeprefix("dbfs:"),
            is_dir=is_dir,
            size=0 if is_dir else stat.st_size,
            modified=stat.st_mtime_ns // 1_000_000,
        )
