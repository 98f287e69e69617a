"""dbutils.fs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from blocks.local.object_store import ObjectStore
from blocks.local.workspace.notebook.filesystem import FileSystem
from blocks.local.workspace.storage import ObjectStorage
from tests.blocks.local.workspace.notebook.desk import Desk, printed


def test_files_are_written_copied_moved_and_removed(tmp_path: Path) -> None:
    fs, root = FileSystem(Desk(""), tmp_path / "dbfs"), f"file:{tmp_path}"
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


def test_dbfs_is_a_folder_of_the_workspace(tmp_path: Path) -> None:
    fs = FileSystem(Desk(""), tmp_path)
    fs.put("dbfs:/a/x.txt", "hello")
    fs.cp("dbfs:/a", "dbfs:///b", recurse=True)
    fs.mv("dbfs:/b/x.txt", f"file:{tmp_path}/y.txt")
    assert fs.head("dbfs:/y.txt") == (tmp_path / "a/x.txt").read_text() == "hello"
    assert [(entry.path, entry.name) for entry in fs.ls("dbfs:/")] == [
        ("dbfs:/a/", "a/"),
        ("dbfs:/b/", "b/"),
        ("dbfs:/y.txt", "y.txt"),
    ]
    assert fs.rm("dbfs:/a", recurse=True)
    assert not fs.rm("dbfs:/a/x.txt")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda fs, _: fs.ls("abc:/x"), ValueError, "has no abc: file system"),
        (lambda fs, _: fs.ls("dbfs:/../file"), ValueError, "no absolute path of DBFS"),
        (lambda fs, _: fs.rm("dbfs:/", recurse=True), ValueError, "root folder"),
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
        call(FileSystem(Desk(""), tmp_path), f"file:{tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture
def storage(object_store: ObjectStore) -> ObjectStorage:
    return ObjectStorage(
        lambda: boto3.client(
            "s3",
            endpoint_url=object_store.endpoint,
            aws_access_key_id=object_store.access_key,
            aws_secret_access_key=object_store.secret_key,
            region_name=object_store.region,
        )
    )


def test_object_storage_is_read_and_written_by_the_workspace(
    storage: ObjectStorage, object_store: ObjectStore, tmp_path: Path
) -> None:
    fs, root = (
        FileSystem(Desk("", storage=storage), tmp_path / "dbfs"),
        f"s3://{object_store.bucket}/fs",
    )
    fs.mkdirs(f"{root}/a")
    fs.put(f"{root}/a/x.txt", "hello")
    with pytest.raises(FileExistsError):
        fs.put(f"{root}/a/x.txt", "again")
    fs.put(f"{root}/a/x.txt", "hello!", overwrite=True)
    assert fs.head(f"{root}/a/x.txt", 4) == "hell"
    fs.cp(f"{root}/a/x.txt", f"{root}/c/")
    fs.cp(f"{root}/c/x.txt", f"file:{tmp_path}/local/z.txt")
    fs.cp(f"file:{tmp_path}/local", f"{root}/c", recurse=True)
    fs.cp(f"{root}/c", "dbfs:/c", recurse=True)
    assert [item.path for item in fs.ls("dbfs:/c")] == ["dbfs:/c/x.txt", "dbfs:/c/z.txt"]
    fs.mv(f"{root}/c/z.txt", f"{root}/y.txt")
    assert [(item.path, item.name, item.size) for item in fs.ls(root)] == [
        (f"{root}/a/", "a/", 0),
        (f"{root}/c/", "c/", 0),
        (f"{root}/y.txt", "y.txt", 6),
    ]
    (file,) = fs.ls(f"{root}/y.txt")
    assert (file.isFile(), file.modificationTime > 0) == (True, True)
    with pytest.raises(IsADirectoryError):
        fs.rm(root)
    assert fs.rm(root, recurse=True)
    assert not fs.rm(root, recurse=True)
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{root}/none")


def test_a_notebook_reaches_object_storage_without_credentials(
    desk: Desk, storage: ObjectStorage, object_store: ObjectStore
) -> None:
    desk.storage = storage
    uri = f"s3://{object_store.bucket}/notebook.txt"
    cells = (
        f"dbutils.fs.put({uri!r}, 'kept', True)\nprint(dbutils.fs.head({uri!r}))",
        "import os\nprint([name for name in os.environ if name.startswith('AWS')])",
    )
    assert printed(desk.run(*cells)).splitlines()[-2:] == ["kept", "[]"]


def test_a_store_that_does_not_answer_is_an_error_of_the_notebook(desk: Desk) -> None:
    nowhere = {"endpoint_url": "http://127.0.0.1:9", "region_name": "x"}
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    config = Config(retries={"max_attempts": 0})
    desk.storage = ObjectStorage(lambda: boto3.client("s3", config=config, **nowhere, **keys))
    outcome = desk.run("dbutils.fs.ls('s3://bucket/x')")
    assert outcome.status == "failed"
    assert outcome.error.startswith("StorageError: s3://bucket/x: Could not connect")
