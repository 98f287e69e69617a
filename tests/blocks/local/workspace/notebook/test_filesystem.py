"""dbutils.fs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.local.workspace.notebook.filesystem import FileSystem


def test_files_are_written_copied_moved_and_removed(tmp_path: Path) -> None:
    fs, root = FileSystem(), f"file:{tmp_path}"
    fs.mkdirs(f"{root}/a/b")
    fs.put(f"{root}/a/x.txt", "hello")
    fs.cp(f"{root}/a/x.txt", f"{root}/a/b/")
    fs.cp(f"{root}/a", f"{root}/copy", recurse=True)
    fs.mv(f"{root}/a/x.txt", f"{root}/y.txt")
    assert fs.head(f"{tmp_path}/y.txt", 4) == "hell"
    assert fs.head(f"file://{tmp_path}/copy/b/x.txt") == "hello"
    entries = fs.ls(root)
    assert [(entry.name, entry.size, entry.isDir(), entry.isFile()) for entry in entries] == [
        ("a/", 0, True, False),
        ("copy/", 0, True, False),
        ("y.txt", 5, False, True),
    ]
    (file,) = fs.ls(f"{root}/y.txt")
    assert file.path == f"{root}/y.txt"
    assert fs.rm(f"{root}/a", recurse=True)
    assert not fs.rm(f"{root}/a")
    assert fs.rm(f"{root}/y.txt")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "copy", "x.txt", "x.txt"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda fs, _: fs.ls("s3://bucket/x"), ValueError, "has no s3: file system"),
        (lambda fs, _: fs.ls("dbfs:/x"), ValueError, "has no dbfs: file system"),
        (lambda fs, _: fs.head("x.txt"), ValueError, "needs an absolute path, not 'x.txt'"),
        (lambda fs, root: fs.ls(f"{root}/none"), FileNotFoundError, "none does not exist"),
        (lambda fs, root: fs.put(f"{root}/file", "x"), FileExistsError, "pass overwrite=True"),
        (lambda fs, root: fs.rm(f"{root}/folder"), IsADirectoryError, "pass recurse=True"),
        (lambda fs, root: fs.cp(f"{root}/folder", f"{root}/to"), IsADirectoryError, "recurse"),
        (lambda fs, root: fs.mv(f"{root}/folder", f"{root}/to"), IsADirectoryError, "recurse"),
    ],
)
def test_what_is_refused_changes_nothing(
    tmp_path: Path,
    call: Callable[[FileSystem, str], object],
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=message):
        call(FileSystem(), f"file:{tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
