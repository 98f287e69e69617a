from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from blocks.local import object_store as seaweedfs
from blocks.local.children import Children, StackError
from blocks.local.object_store import ObjectStore


def client_of(store: ObjectStore, **changes: str) -> Any:
    credentials = {
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
    }
    config = Config(retries={"total_max_attempts": 1})
    options = credentials | changes
    return boto3.client(
        "s3", endpoint_url=store.endpoint, region_name=store.region, config=config, **options
    )


def start(children: Children, folder: Path) -> ObjectStore:
    store = seaweedfs.reserve(folder / "store")
    seaweedfs.start(children, store, folder / "store", folder / "log")
    return store


def test_objects_are_written_listed_read_and_deleted(object_store: ObjectStore) -> None:
    client = client_of(object_store)
    keys = [f"test/Côte d'Ivoire/{part}.csv" for part in ("a", "b")]
    for key in keys:
        client.put_object(Bucket=object_store.bucket, Key=key, Body=key.encode())
    listed = client.list_objects_v2(Bucket=object_store.bucket, Prefix="test/")
    assert [each["Key"] for each in listed["Contents"]] == keys
    content = client.get_object(Bucket=object_store.bucket, Key=keys[1])["Body"].read()
    assert content.decode() == keys[1]
    for key in keys:
        client.delete_object(Bucket=object_store.bucket, Key=key)
    listed = client.list_objects_v2(Bucket=object_store.bucket, Prefix="test/")
    assert "Contents" not in listed


@pytest.mark.parametrize("wrong", ["aws_access_key_id", "aws_secret_access_key"])
def test_wrong_keys_are_refused(object_store: ObjectStore, wrong: str) -> None:
    with pytest.raises(ClientError) as raised:
        client_of(object_store, **{wrong: "guess"}).list_buckets()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def server_in(folder: Path) -> tuple[psutil.Process, psutil.Process]:
    """The keeper and the server that work in a folder."""
    keeper = next(each for each in psutil.Process().children() if each.cwd() == str(folder))
    return keeper, keeper.children()[0]


def test_it_listens_on_loopback_alone_and_shows_no_secret(tmp_path: Path) -> None:
    with Children() as children:
        store = start(children, tmp_path)
        keeper, server = server_in(tmp_path / "store")
        addresses = {
            connection.laddr.ip
            for connection in server.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        lines = " ".join([*keeper.cmdline(), *server.cmdline()])
    assert addresses == {"127.0.0.1"}
    assert store.secret_key not in lines + repr(store)
    assert store.secret_key not in (tmp_path / "log").read_text()
    assert stat.S_IMODE((tmp_path / "store" / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700


def test_objects_and_keys_outlive_a_killed_server(tmp_path: Path) -> None:
    with Children() as children:
        store = start(children, tmp_path)
        client_of(store).put_object(Bucket=store.bucket, Key="kept", Body=b"x" * 100_000)
        server_in(tmp_path / "store")[1].kill()
    with Children() as children:
        again = start(children, tmp_path)
        assert (again.access_key, again.secret_key) == (store.access_key, store.secret_key)
        body = client_of(again).get_object(Bucket=again.bucket, Key="kept")["Body"].read()
    assert body == b"x" * 100_000


def test_the_environment_names_the_store(object_store: ObjectStore) -> None:
    assert object_store.environment() == {
        "AWS_ENDPOINT_URL": object_store.endpoint,
        "AWS_ACCESS_KEY_ID": object_store.access_key,
        "AWS_SECRET_ACCESS_KEY": object_store.secret_key,
        "AWS_REGION": "us-east-1",
    }


def test_a_stopped_store_leaves_no_socket_outside_its_folder(tmp_path: Path) -> None:
    with Children() as children:
        start(children, tmp_path)
        connections = server_in(tmp_path / "store")[1].net_connections("unix")
        sockets = {Path(connection.laddr) for connection in connections if connection.laddr}
        sockets = {file for file in sockets if file.is_absolute()}
        assert sockets
    assert not [file for file in sockets if file.exists()]


def test_a_store_that_does_not_start_says_why(tmp_path: Path) -> None:
    with Children() as children:
        store = seaweedfs.reserve(tmp_path / "store")
        keys = tmp_path / "store" / "keys.json"
        keys.write_text(json.dumps({"identities": "none"}))
        with pytest.raises(StackError) as raised:
            seaweedfs.start(children, store, tmp_path / "store", tmp_path / "log")
    assert str(raised.value).startswith("Object store did not start: ")
    assert "keys.json" in str(raised.value)
    assert str(raised.value).endswith(f"(log: {tmp_path / 'log'})")
