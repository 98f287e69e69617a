"""The REST API of DBFS, over HTTPS; no notebook runs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.api.dbfs import MAX_BLOCK_BYTES
from blocks.local.workspace.notebook.dbfs import dbfs_file, dbfs_uri
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.dbfs import UPLOAD_IDLE_MS
from blocks.local.workspace.testing import RunningWorkspace
from tests.blocks.local.workspace.test_api_around import get, post, refused


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def put(client: httpx.Client, path: str, content: bytes, **more: Any) -> None:
    assert post(client, "dbfs/put", path=path, contents=encoded(content), **more) == {}


def read(client: httpx.Client, path: str, **part: int) -> bytes:
    answer = get(client, "dbfs/read", path=path, **part)
    content = base64.b64decode(answer["data"])
    assert answer["bytes_read"] == len(content)
    return content


@pytest.fixture
def folder() -> str:
    return f"/{uuid4().hex}"


def test_files_are_put_listed_read_moved_and_deleted(
    client: httpx.Client, server: RunningWorkspace, folder: str
) -> None:
    put(client, f"dbfs:{folder}/a/x.txt", b"first")
    put(client, f"{folder}/a/x.txt", b"\xff\x00 again", overwrite=True)
    assert (server.state_dir / f"dbfs{folder}/a/x.txt").read_bytes() == b"\xff\x00 again"
    post(client, "dbfs/mkdirs", path=f"{folder}/b/c")
    post(client, "dbfs/mkdirs", path=f"{folder}/b/c")
    listed = get(client, "dbfs/list", path=f"dbfs:{folder}/")["files"]
    assert [(item["path"], item["is_dir"], item["file_size"]) for item in listed] == [
        (f"{folder}/a", True, 0),
        (f"{folder}/b", True, 0),
    ]
    assert get(client, "dbfs/list", path=f"{folder}/b/c") == {}
    status = get(client, "dbfs/get-status", path=f"dbfs:{folder}/a/x.txt")
    assert get(client, "dbfs/list", path=f"{folder}/a/x.txt") == {"files": [status]}
    assert (status["path"], status["file_size"]) == (f"{folder}/a/x.txt", 8)
    assert status["modification_time"] > 0
    post(client, "dbfs/move", source_path=f"{folder}/a", destination_path=f"{folder}/b/a")
    assert read(client, f"{folder}/b/a/x.txt") == b"\xff\x00 again"
    assert read(client, f"{folder}/b/a/x.txt", offset=3, length=2) == b"ag"
    assert read(client, f"{folder}/b/a/x.txt", offset=2**62) == b""
    assert post(client, "dbfs/delete", path=folder, recursive=True) == {}
    assert post(client, "dbfs/delete", path=f"{folder}/b/a/x.txt") == {}
    assert post(client, "dbfs/delete", path=folder) == {}


@pytest.mark.parametrize("part", ["file", "contents"])
def test_a_form_puts_a_file_of_more_than_a_megabyte(
    client: httpx.Client, folder: str, part: str
) -> None:
    content = bytes(range(256)) * 5000
    answer = client.post(
        "/api/2.0/dbfs/put",
        data={"path": f"{folder}/big", "overwrite": "True"},
        files={part: ("big", content)},
    )
    assert answer.json() == {}
    assert read(client, f"{folder}/big") == content[: 512 * 1024]
    assert read(client, f"{folder}/big", offset=MAX_BLOCK_BYTES) == content[MAX_BLOCK_BYTES:]


def test_blocks_become_a_file_when_their_stream_is_closed(
    client: httpx.Client, folder: str
) -> None:
    handle = post(client, "dbfs/create", path=f"{folder}/x")["handle"]
    for block in (b"a" * MAX_BLOCK_BYTES, b"", b"end"):
        assert post(client, "dbfs/add-block", handle=handle, data=encoded(block)) == {}
    query = {"path": f"{folder}/x"}
    assert client.get("/api/2.0/dbfs/get-status", params=query).status_code == 404
    assert post(client, "dbfs/close", handle=handle) == {}
    assert get(client, "dbfs/get-status", **query)["file_size"] == MAX_BLOCK_BYTES + 3
    for path in ("add-block", "close"):
        answer = client.post(f"/api/2.0/dbfs/{path}", json={"handle": handle})
        assert refused(answer)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


INVALID = (400, "INVALID_PARAMETER_VALUE")
MISSING = (404, "RESOURCE_DOES_NOT_EXIST")
TAKEN = (400, "RESOURCE_ALREADY_EXISTS")
TOO_LARGE = encoded(b"x" * (MAX_BLOCK_BYTES + 1))


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("put", {"path": "/f/file"}, TAKEN),
        ("put", {"path": "/f", "overwrite": True}, TAKEN),
        ("put", {"path": "/f/file/below"}, TAKEN),
        ("put", {"path": "/f/new", "contents": TOO_LARGE}, (400, "MAX_BLOCK_SIZE_EXCEEDED")),
        ("put", {"path": "/f/new", "contents": "?"}, INVALID),
        ("put", {"path": "/f/../../out", "contents": ""}, INVALID),
        ("put", {"path": "relative"}, INVALID),
        ("put", {"path": "/f/\0"}, INVALID),
        ("put", {"path": "/f/" + "x" * 300}, (400, "IO_ERROR")),
        ("create", {"path": "/f/file"}, TAKEN),
        ("add-block", {"handle": 1, "data": TOO_LARGE}, (400, "MAX_BLOCK_SIZE_EXCEEDED")),
        ("mkdirs", {"path": "/f/file"}, TAKEN),
        ("mkdirs", {"path": "/f/file/below"}, TAKEN),
        ("move", {"source_path": "/f/none", "destination_path": "/f/x"}, MISSING),
        ("move", {"source_path": "/f/file/none", "destination_path": "/f/x"}, MISSING),
        ("move", {"source_path": "/f/file", "destination_path": "/f/none/x"}, MISSING),
        ("move", {"source_path": "/f/file", "destination_path": "/f"}, TAKEN),
        ("move", {"source_path": "/f", "destination_path": "/f/x"}, (400, "IO_ERROR")),
        ("delete", {"path": "/f"}, (400, "IO_ERROR")),
        ("delete", {"path": "/", "recursive": True}, INVALID),
        ("read", {"path": "/f"}, INVALID),
        ("read", {"path": "/f/none"}, MISSING),
        ("read", {"path": "/f/file/below"}, MISSING),
        ("read", {"path": "/f/file", "offset": -1}, INVALID),
        ("read", {"path": "/f/file", "length": 2**20 + 1}, (400, "MAX_READ_SIZE_EXCEEDED")),
        ("list", {"path": "/f/none"}, MISSING),
        ("get-status", {"path": "dbfs:/f/link/x"}, INVALID),
    ],
)
def test_what_is_refused_changes_nothing(
    client: httpx.Client,
    server: RunningWorkspace,
    call: str,
    arguments: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    put(client, "/f/file", b"kept", overwrite=True)
    link = server.state_dir / "dbfs/f/link"
    link.unlink(missing_ok=True)
    link.symlink_to(server.state_dir)
    if call in {"read", "list", "get-status"}:
        answer = client.get(f"/api/2.0/dbfs/{call}", params=arguments)
    else:
        answer = client.post(f"/api/2.0/dbfs/{call}", json=arguments)
    assert refused(answer)[:2] == expected
    assert sorted(path.name for path in link.parent.iterdir()) == ["file", "link"]
    assert read(client, "/f/file") == b"kept"


def test_an_upload_outlives_the_workspace_but_no_long_pause(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    kept = store.dbfs.begin_upload("dbfs:/a/kept", 0, overwrite=False)
    idle = store.dbfs.begin_upload("/a/idle", 0, overwrite=False)
    store.dbfs.add_block(kept, b"one ", UPLOAD_IDLE_MS)
    # Killed between the disk and the answer: the client sends the block again.
    with (tmp_path / f"uploads/{kept}").open("ab") as stream:
        stream.write(b"two, twice")
    store.close()
    store = Store(tmp_path / "db")
    store.dbfs.add_block(kept, b"two", 2 * UPLOAD_IDLE_MS)
    with pytest.raises(KeyError):
        store.dbfs.add_block(idle, b"late", UPLOAD_IDLE_MS + 1)
    store.dbfs.write("/a/kept", b"first come", overwrite=False)
    with pytest.raises(FileExistsError):
        store.dbfs.end_upload(kept, 2 * UPLOAD_IDLE_MS)
    store.dbfs.delete("/a/kept", recursive=False)
    store.dbfs.end_upload(kept, 2 * UPLOAD_IDLE_MS)
    assert store.dbfs.read("/a/kept", 0, 100) == b"one two"
    store.dbfs.begin_upload("/a/new", 2 * UPLOAD_IDLE_MS, overwrite=False)
    assert len(list((tmp_path / "uploads").iterdir())) == 1
    store.close()


@given(st.text(st.sampled_from("ab./: ~\0é"), max_size=20))
def test_no_path_leads_out_of_dbfs(tail: str) -> None:
    root = Path("/state/dbfs")
    try:
        file = dbfs_file(root, f"dbfs:/{tail}")
    except ValueError:
        assert ".." in tail or "\0" in tail
        return
    assert file == root or root in file.parents
    assert dbfs_file(root, dbfs_uri(root, file)) == file
