"""``dbutils.fs`` on the files of this machine (``/…`` and ``file:/…``)."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/.*)")


@dataclass(frozen=True)
class FileInfo:
    """An entry of ``dbutils.fs.ls``.

    Attributes:
        path: ``file:/…``; that of a folder ends with ``/``.
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
    """``dbutils.fs``; names, arguments and results are those of Databricks."""

    def ls(self, path: str) -> list[FileInfo]:
        """Return the entries of a folder, or a file itself."""
        target = _existing(path)
        entries = sorted(target.iterdir()) if target.is_dir() else [target]
        return [_info(entry) for entry in entries]

    def head(self, file: str, max_bytes: int = 65_536) -> str:
        """Return the beginning of a text file."""
        with _existing(file).open("rb") as stream:
            return stream.read(max_bytes).decode(errors="replace")

    def put(self, file: str, contents: str, overwrite: bool = False) -> bool:
        """Write a text file."""
        target = local_path(file)
        if target.exists() and not overwrite:
            raise FileExistsError(f"{file} exists; pass overwrite=True to replace it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(contents, encoding="utf-8")
        return True

    def mkdirs(self, dir: str) -> bool:
        """Make a folder, and those above it."""
        local_path(dir).mkdir(parents=True, exist_ok=True)
        return True

    def cp(self, source: str, destination: str, recurse: bool = False) -> bool:
        """Copy a file, or a folder with ``recurse``."""
        origin = _existing(source)
        target = _target(origin, destination)
        if origin.is_dir():
            _require_recurse(source, recurse)
            shutil.copytree(origin, target, dirs_exist_ok=True)
        else:
            shutil.copy2(origin, target)
        return True

    def mv(self, source: str, destination: str, recurse: bool = False) -> bool:
        """Move a file, or a folder with ``recurse``."""
        origin = _existing(source)
        if origin.is_dir():
            _require_recurse(source, recurse)
        shutil.move(origin, _target(origin, destination))
        return True

    def rm(self, dir: str, recurse: bool = False) -> bool:
        """Remove a file, or a folder with ``recurse``; return False if there is nothing."""
        target = local_path(dir)
        if not target.exists():
            return False
        if target.is_dir():
            _require_recurse(dir, recurse)
            shutil.rmtree(target)
        else:
            target.unlink()
        return True


def local_path(path: str) -> Path:
    """Return the path on this machine of ``/…``, ``file:/…`` or ``file:///…``.

    Raises:
        ValueError: If it has another scheme, or is relative.
    """
    scheme = _SCHEME.fullmatch(path)
    if scheme and scheme[1] != "file":
        raise ValueError(
            f"dbutils.fs of the local workspace has no {scheme[1]}: file system ({path}); "
            "use spark.read and DataFrame.write, or a path that starts with file:/."
        )
    local = re.sub("^/+", "/", scheme[2]) if scheme else path
    if not local.startswith("/"):
        raise ValueError(f"dbutils.fs needs an absolute path, not {path!r}.")
    return Path(local)


def _existing(path: str) -> Path:
    target = local_path(path)
    if not target.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    return target


def _target(origin: Path, destination: str) -> Path:
    target = local_path(destination)
    if origin.is_file() and (destination.endswith("/") or target.is_dir()):
        target /= origin.name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _require_recurse(path: str, recurse: bool) -> None:
    if not recurse:
        raise IsADirectoryError(f"{path} is a folder; pass recurse=True.")


def _info(entry: Path) -> FileInfo:
    stat = entry.stat()
    end = "/" if entry.is_dir() else ""
    return FileInfo(
        path=f"file:{entry}{end}",
        name=f"{entry.name}{end}",
        size=0 if end else stat.st_size,
        modificationTime=stat.st_mtime_ns // 1_000_000,
    )
