"""Notebooks, files, secrets and identity, through Databricks' own client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from io import BytesIO

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import (
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    Unauthenticated,
)
from databricks.sdk.service.workspace import (
    AclPermission,
    ExportFormat,
    ImportFormat,
    Language,
    ObjectInfo,
    ObjectType,
)

from tests.conformance.target import STEADY, Target


def listed(client: WorkspaceClient, folder: str) -> dict[str, ObjectInfo]:
    return {str(item.path).rpartition("/")[2]: item for item in client.workspace.list(folder)}


def test_the_caller_is_known(client: WorkspaceClient) -> None:
    """§8.3: SCIM Me."""
    me = client.current_user.me()
    assert me.user_name
    assert me.active is True


def test_a_wrong_token_is_refused(target: Target) -> None:
    """§7.1: 403 for a bad token."""
    stranger = WorkspaceClient(host=target.client.config.host, token="dapi" + "0" * 32)
    with pytest.raises((PermissionDenied, Unauthenticated)):
        stranger.jobs.get(1)


def test_an_unknown_route_is_not_found(client: WorkspaceClient) -> None:
    """§7.1: 404 ENDPOINT_NOT_FOUND."""
    with pytest.raises(NotFound) as raised:
        client.api_client.do("GET", "/api/2.0/no/such/endpoint")
    assert raised.value.error_code == "ENDPOINT_NOT_FOUND"


def test_spark_versions_and_node_types_can_be_chosen(client: WorkspaceClient) -> None:
    """§8.3: what clients ask before they define a cluster."""
    assert client.clusters.select_spark_version(long_term_support=True)
    assert client.clusters.select_node_type(min_cores=1)
    assert client.clusters.select_node_type(local_disk=True)
    assert isinstance(list(client.clusters.list()), list)


def test_folders_are_made_listed_and_removed(target: Target, client: WorkspaceClient) -> None:
    """§8.1: mkdirs is idempotent, an empty folder lists nothing, delete wants to be sure."""
    folder = f"{target.folder}/folders"
    client.workspace.mkdirs(f"{folder}/a/b")
    client.workspace.mkdirs(f"{folder}/a/b")
    assert list(client.workspace.list(f"{folder}/a/b")) == []
    assert listed(client, folder)["a"].object_type is ObjectType.DIRECTORY
    with pytest.raises(DatabricksError) as raised:
        client.workspace.delete(folder)
    assert raised.value.error_code == "DIRECTORY_NOT_EMPTY"
    client.workspace.delete(folder, recursive=True)
    with pytest.raises(ResourceDoesNotExist):
        client.workspace.get_status(folder)


def test_a_notebook_is_imported_and_exported(target: Target, client: WorkspaceClient) -> None:
    """§8.1: import as JSON with base64, export likewise; taken paths need overwrite."""
    path = f"{target.folder}/imported"
    content = base64.b64encode(STEADY.encode()).decode()
    source = ImportFormat.SOURCE
    client.workspace.import_(path, content=content, format=source, language=Language.PYTHON)
    with pytest.raises(ResourceAlreadyExists):
        client.workspace.import_(path, content=content, format=source, language=Language.PYTHON)
    client.workspace.import_(
        path, content=content, format=source, language=Language.PYTHON, overwrite=True
    )
    status = client.workspace.get_status(path)
    assert status.object_type is ObjectType.NOTEBOOK
    assert status.language is Language.PYTHON
    exported = client.workspace.export(path, format=ExportFormat.SOURCE)
    assert exported.content is not None
    text = base64.b64decode(exported.content).decode()
    assert text.splitlines()[:2] == STEADY.splitlines()[:2]


def test_a_file_is_uploaded_and_downloaded(target: Target, client: WorkspaceClient) -> None:
    """§8.1: multipart upload, direct download; RAW makes a file, byte for byte."""
    path, content = f"{target.folder}/data.bin", bytes(range(256)) * 40
    client.workspace.upload(path, BytesIO(content), format=ImportFormat.RAW)
    assert client.workspace.get_status(path).object_type is ObjectType.FILE
    with client.workspace.download(path) as stream:
        assert stream.read() == content


def test_auto_tells_notebooks_from_files(target: Target, client: WorkspaceClient) -> None:
    """§8.1: a .py with the marker becomes a notebook without extension, any other stays a file."""
    folder = f"{target.folder}/auto"
    client.workspace.mkdirs(folder)
    for name, text in (("marked.py", STEADY), ("plain.py", "print(1)\n")):
        client.workspace.upload(
            f"{folder}/{name}", BytesIO(text.encode()), format=ImportFormat.AUTO
        )
    types = {name: item.object_type for name, item in listed(client, folder).items()}
    assert types == {"marked": ObjectType.NOTEBOOK, "plain.py": ObjectType.FILE}


def test_what_is_missing_is_not_found(target: Target, client: WorkspaceClient) -> None:
    """§8.1: 404 RESOURCE_DOES_NOT_EXIST, for a parent folder too."""
    with pytest.raises(ResourceDoesNotExist):
        client.workspace.export(f"{target.folder}/nothing")
    with pytest.raises(NotFound):
        client.workspace.upload(
            f"{target.folder}/nowhere/x.txt", BytesIO(b"x"), format=ImportFormat.RAW
        )


@pytest.fixture
def scope(target: Target, client: WorkspaceClient) -> Iterator[str]:
    client.secrets.create_scope(target.name)
    yield target.name
    client.secrets.delete_scope(target.name)


def test_secrets_are_put_listed_read_and_deleted(client: WorkspaceClient, scope: str) -> None:
    """§8.2: put replaces, list shows no values, get gives base64."""
    with pytest.raises(ResourceAlreadyExists):
        client.secrets.create_scope(scope)
    assert scope in [item.name for item in client.secrets.list_scopes()]
    client.secrets.put_secret(scope, "key", string_value="first")
    client.secrets.put_secret(scope, "key", string_value="second")
    (found,) = client.secrets.list_secrets(scope)
    assert found.key == "key"
    assert found.last_updated_timestamp
    value = client.secrets.get_secret(scope, "key").value
    assert value is not None
    assert base64.b64decode(value) == b"second"
    client.secrets.delete_secret(scope, "key")
    with pytest.raises(ResourceDoesNotExist):
        client.secrets.get_secret(scope, "key")


def test_permissions_of_a_scope_are_kept(client: WorkspaceClient, scope: str) -> None:
    """§8.2: whoever makes a scope manages it; put, get, list and delete of others."""
    user = client.current_user.me().user_name
    client.secrets.put_acl(scope, "users", AclPermission.READ)
    assert client.secrets.get_acl(scope, "users").permission is AclPermission.READ
    found = {acl.principal: acl.permission for acl in client.secrets.list_acls(scope)}
    assert found == {user: AclPermission.MANAGE, "users": AclPermission.READ}
    client.secrets.delete_acl(scope, "users")
    with pytest.raises(ResourceDoesNotExist):
        client.secrets.get_acl(scope, "users")


@pytest.fixture
def files(target: Target, client: WorkspaceClient) -> Iterator[str]:
    folder = f"dbfs:/tmp/{target.name}"
    client.dbfs.mkdirs(folder)
    yield folder
    client.dbfs.delete(folder, recursive=True)


def test_files_of_dbfs_are_uploaded_in_blocks(client: WorkspaceClient, files: str) -> None:
    """§8.3: create, add-block and close; read in parts; taken paths need overwrite."""
    content = bytes(range(256)) * 10_000
    client.dbfs.upload(f"{files}/a/x.bin", BytesIO(content))
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.upload(f"{files}/a/x.bin", BytesIO(content))
    with client.dbfs.download(f"{files}/a/x.bin") as stream:
        assert stream.read() == content
    (found,) = client.dbfs.list(files, recursive=True)
    assert (found.file_size, found.is_dir) == (len(content), False)
    assert f"dbfs:{found.path}" == f"{files}/a/x.bin"


def test_dbutils_of_the_client_work_on_dbfs(client: WorkspaceClient, files: str) -> None:
    """§8.3: put, head, cp, mv, ls and rm; only an empty folder goes without recurse."""
    fs = client.dbutils.fs
    assert fs.put(f"{files}/x.txt", "hello")
    assert fs.head(f"{files}/x.txt", 4) == "hell"
    fs.cp(f"{files}/x.txt", f"{files}/y.txt")
    fs.mv(f"{files}/y.txt", f"{files}/z.txt")
    assert [item.name for item in fs.ls(files)] == ["x.txt", "z.txt"]
    # The client's own ``delete`` refuses before it asks.
    with pytest.raises(DatabricksError) as raised:
        client.api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": files})
    assert raised.value.error_code == "IO_ERROR"
    assert fs.rm(files, recurse=True)
    assert not client.dbfs.exists(files)
