"""Paths of DBFS, which is a folder of the workspace on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def is_dbfs(path: str) -> bool:
    """Return whether a path names something in DBFS: ``dbfs:/…``."""
    return path.startswith("dbfs:/")


def dbfs_file(root: Path, path: str) -> Path:
    """Return the file or folder, on this machine, of a path in DBFS.

    Args:
        root: The folder that is ``dbfs:/``.
        path: ``dbfs:/…``, or ``/…``, as the REST API has it too.

    Raises:
        ValueError: It is not absolute, or leads out of DBFS.
    """
    names = path.removeprefix("dbfs:").split("/")
    if names[0] or len(names) == 1 or ".." in names or "\0" in path:
        raise ValueError(
            f"{path!r} is no absolute path of DBFS; use one such as dbfs:/folder/file."
        )
    target = root.joinpath(*(name for name in names if name not in {"", "."}))
    if not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(root)):
        raise ValueError(f"{path!r} is a link that leads out of DBFS.")
    return target


def dbfs_uri(root: Path, file: Path) -> str:
    """Return ``dbfs:/…`` of a file or folder below ``root``."""
    inside = file.relative_to(root).as_posix()
    return "dbfs:/" if inside == "." else f"dbfs:/{inside}"
