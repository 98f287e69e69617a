"""``dbutils.fs``: files of this machine (``/…``, ``file:/…``), ``dbfs:/…`` and ``s3://…``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blocks.local.workspace.notebook.contract import Host, StoredObject
from blocks.local.workspace.notebook.dbfs import dbfs_file, dbfs_uri, is_dbfs

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/.*)")


@dataclass(frozen=True)
class FileInfo:
    """An entry of ``dbutils.fs.ls``.

    Attributes:
        path: ``file:/…``, ``dbfs:/…`` or ``s3://…``; that of a folder ends with ``/``.
        name: The last part; that of a folder ends with ``/``.
        size: Bytes, 0 for a folder.
        modificationTime: Epoch milliseconds.
    """

    path: str
    name: str
    size: int
    modificationTime: int  # noqa: N815 - theirs

    def isDir(self) -> bool:  # noqa: N802 - theirs
        """Return whether it is a folder."""
        return self.name.endswith("/")

    def isFile(self) -> bool:  # noqa: N802 - theirs
        """Return whether it is a file."""
        return not self.isDir()


class FileSystem:
    """``dbutils.fs``; names, arguments and results are those of Databricks.

    Args:
        host: Reads and writes object storage, for which a notebook has no credentials.
        dbfs: The folder that is ``dbfs:/``.
    """

    def __init__(self, host: Host, dbfs: Path) -> None:
        self._host = host
        self._dbfs = dbfs

    def ls(self, path: str) -> list[FileInfo]:
        """Return the entries of a folder, or a file itself."""
        if is_stored(path):
            return [_stored_info(item) for item in self._stored(path, recurse=False)]
        target = self._existing(path)
        entries = sorted(target.iterdir()) if target.is_dir() else [target]
        if is_dbfs(path):
            return [_info(entry, dbfs_uri(self._dbfs, entry)) for entry in entries]
        return [_info(entry, f"file:{entry}") for entry in entries]

    def head(self, file: str, max_bytes: int = 65_536) -> str:
        """Return the beginning of a text file."""
        return self._read(file, max_bytes).decode(errors="replace")

    def put(self, file: str, contents: str, overwrite: bool = False) -> bool:
        """Write a text file."""
        if not overwrite and self._exists(file):
            raise FileExistsError(f"{file} exists; pass overwrite=True to replace it.")
        self._write(file, contents.encode())
        return True

    def mkdirs(self, dir: str) -> bool:
        """Make a folder, and those above it; object storage needs none."""
        if not is_stored(dir):
            self._local(dir).mkdir(parents=True, exist_ok=True)
        return True

    def cp(self, source: str, destination: str, recurse: bool = False) -> bool:
        """Copy a file, or a folder with ``recurse``."""
        if is_stored(source) or is_stored(destination):
            for origin, target in self._pairs(source, destination, recurse=recurse):
                self._write(target, self._read(origin, None))
            return True
        local = self._existing(source)
        target_path = self._target(local, destination)
        if local.is_dir():
            _require_recurse(source, recurse)
            shutil.copytree(local, target_path, dirs_exist_ok=True)
        else:
            shutil.copy2(local, target_path)
        return True

    def mv(self, source: str, destination: str, recurse: bool = False) -> bool:
        """Move a file, or a folder with ``recurse``."""
        if is_stored(source) or is_stored(destination):
            self.cp(source, destination, recurse)
            return self.rm(source, recurse)
        origin = self._existing(source)
        if origin.is_dir():
            _require_recurse(source, recurse)
        shutil.move(origin, self._target(origin, destination))
        return True

    def rm(self, dir: str, recurse: bool = False) -> bool:
        """Remove a file, or a folder with ``recurse``; return False if there is nothing."""
        if is_stored(dir):
            return self._remove_stored(dir, recurse=recurse)
        target = self._local(dir)
        if not target.exists():
            return False
        if target == self._dbfs:
            raise ValueError(f"{dir} is the root folder of DBFS, which cannot be removed.")
        if target.is_dir():
            _require_recurse(dir, recurse)
            shutil.rmtree(target)
        else:
            target.unlink()
        return True

    def _stored(self, path: str, *, recurse: bool) -> tuple[StoredObject, ...]:
        try:
            return self._host.list_objects(path, recurse)
        except KeyError:
            raise FileNotFoundError(f"{path} does not exist.") from None

    def _remove_stored(self, path: str, *, recurse: bool) -> bool:
        try:
            found = self._stored(path, recurse=True)
        except FileNotFoundError:
            return False
        if not _is_file(found, path):
            _require_recurse(path, recurse)
        for item in found:
            self._host.delete_object(item.uri)
        return True

    def _exists(self, path: str) -> bool:
        if not is_stored(path):
            return self._local(path).exists()
        try:
            return _is_file(self._stored(path, recurse=False), path)
        except FileNotFoundError:
            return False

    def _read(self, path: str, max_bytes: int | None) -> bytes:
        if not is_stored(path):
            with self._existing(path).open("rb") as stream:
                return stream.read(max_bytes)
        try:
            return self._host.read_object(path, max_bytes)
        except KeyError:
            raise FileNotFoundError(f"{path} does not exist.") from None

    def _write(self, path: str, content: bytes) -> None:
        if is_stored(path):
            try:
                self._host.write_object(path, content)
            except KeyError:
                raise FileNotFoundError(f"The bucket of {path} does not exist.") from None
            return
        target = self._local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def _pairs(self, source: str, destination: str, *, recurse: bool) -> Iterator[tuple[str, str]]:
        """Yield what is to be copied to where, when one of the two is in object storage."""
        if is_stored(source):
            files = [item.uri for item in self._stored(source, recurse=True)]
            single = files == [source]
        else:
            top = self._existing(source)
            single = top.is_file()
            files = [str(top)] if single else [str(f) for f in top.rglob("*") if f.is_file()]
            source = str(top)
        if single:
            name = source.rpartition("/")[2] if destination.endswith("/") else ""
            yield source, destination + name
            return
        _require_recurse(source, recurse)
        for file in files:
            yield file, f"{destination.rstrip('/')}/{file.removeprefix(source).lstrip('/')}"

    def _local(self, path: str) -> Path:
        return dbfs_file(self._dbfs, path) if is_dbfs(path) else local_path(path)

    def _existing(self, path: str) -> Path:
        target = self._local(path)
        if not target.exists():
            raise FileNotFoundError(f"{path} does not exist.")
        return target

    def _target(self, origin: Path, destination: str) -> Path:
        target = self._local(destination)
        if origin.is_file() and (destination.endswith("/") or target.is_dir()):
            target /= origin.name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def is_stored(path: str) -> bool:
    """Return whether a path is in object storage."""
    return path.startswith("s3://")


def _is_file(found: Sequence[StoredObject], path: str) -> bool:
    return [item.uri for item in found] == [path]


def _stored_info(item: StoredObject) -> FileInfo:
    end = "/" if item.uri.endswith("/") else ""
    name = item.uri.rstrip("/").rpartition("/")[2]
    return FileInfo(item.uri, name + end, item.size, item.modified)


def local_path(path: str) -> Path:
    """Return the path on this machine of ``/…``, ``file:/…`` or ``file:///…``.

    Raises:
        ValueError: If it has another scheme, or is relative.
    """
    scheme = _SCHEME.fullmatch(path)
    if scheme and scheme[1] != "file":
        raise ValueError(
            f"dbutils.fs of the local workspace has no {scheme[1]}: file system ({path}); "
            "use a path that starts with file:/, dbfs:/ or s3://."
        )
    local = re.sub("^/+", "/", scheme[2]) if scheme else path
    if not local.startswith("/"):
        raise ValueError(f"dbutils.fs needs an absolute path, not {path!r}.")
    return Path(local)


def _require_recurse(path: str, recurse: bool) -> None:
    if not recurse:
        raise IsADirectoryError(f"{path} is a folder; pass recurse=True.")


def _info(entry: Path, uri: str) -> FileInfo:
    stat = entry.stat()
    end = "/" if entry.is_dir() else ""
    return FileInfo(
        path=f"{uri}{end}",
        name=f"{entry.name}{end}",
        size=0 if end else stat.st_size,
        modificationTime=stat.st_mtime_ns // 1_000_000,
    )
