"""``/api/2.0/dbfs/*``: the files of DBFS.

Limits and error codes are those of https://docs.databricks.com/api/workspace/dbfs. Statuses, and
that a missing path can be deleted, are what Databricks' own command line relies on
(``libs/filer/dbfs_client.go`` of ``databricks/cli``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field

from blocks.local.workspace.api.content import decoded
from blocks.local.workspace.api.requests import Id
from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.clock import now
from blocks.local.workspace.errors import ApiError, invalid, missing
from blocks.local.workspace.models import Settings
from blocks.local.workspace.store.dbfs import Dbfs, FileStatus

MAX_BLOCK_BYTES = 1024 * 1024
_DEFAULT_READ_BYTES = 512 * 1024
_VERSIONS: tuple[Version, ...] = ("2.0",)


class DbfsPath(Settings):
    """``get-status``, ``list`` and ``mkdirs``."""

    path: str


class DbfsCreate(DbfsPath):
    """``create``."""

    overwrite: bool = False


class DbfsPut(DbfsCreate):
    """``put``: contents in base64, or the bytes of an uploaded part of either name."""

    contents: str | bytes = ""
    file: Annotated[bytes, Field(strict=True)] | None = None


class DbfsHandle(Settings):
    """``close``."""

    handle: Id


class DbfsBlock(DbfsHandle):
    """``add-block``."""

    data: str = ""


class DbfsRead(DbfsPath):
    """``read``."""

    offset: Annotated[int, Field(ge=0)] = 0
    length: Annotated[int, Field(ge=0)] = _DEFAULT_READ_BYTES


class DbfsMove(Settings):
    """``move``."""

    source_path: str
    destination_path: str


class DbfsDelete(DbfsPath):
    """``delete``."""

    recursive: bool = False


class DbfsApi:
    """Handlers of the endpoints for DBFS.

    Args:
        dbfs: Its files.
    """

    def __init__(self, dbfs: Dbfs) -> None:
        self._dbfs = dbfs

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("GET", "dbfs/get-status", _VERSIONS, DbfsPath, self._get_status),
            route("GET", "dbfs/list", _VERSIONS, DbfsPath, self._list),
            route("GET", "dbfs/read", _VERSIONS, DbfsRead, self._read),
            route("POST", "dbfs/put", _VERSIONS, DbfsPut, self._put),
            route("POST", "dbfs/create", _VERSIONS, DbfsCreate, self._create),
            route("POST", "dbfs/add-block", _VERSIONS, DbfsBlock, self._add_block),
            route("POST", "dbfs/close", _VERSIONS, DbfsHandle, self._close),
            route("POST", "dbfs/mkdirs", _VERSIONS, DbfsPath, self._mkdirs),
            route("POST", "dbfs/move", _VERSIONS, DbfsMove, self._move),
            route("POST", "dbfs/delete", _VERSIONS, DbfsDelete, self._delete),
        ]

    def _get_status(self, request: DbfsPath, _version: Version) -> Mapping[str, Any]:
        with _errors(request.path):
            return _shown(self._dbfs.status(request.path))

    def _list(self, request: DbfsPath, _version: Version) -> Mapping[str, Any]:
        with _errors(request.path):
            files = [_shown(status) for status in self._dbfs.list(request.path)]
        return {"files": files} if files else {}

    def _read(self, request: DbfsRead, _version: Version) -> Mapping[str, Any]:
        if request.length > MAX_BLOCK_BYTES:
            raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", "A read can be of 1 MB at most.")
        with _errors(request.path):
            content = self._dbfs.read(request.path, request.offset, request.length)
        return {"bytes_read": len(content), "data": base64.b64encode(content).decode()}

    def _put(self, request: DbfsPut, _version: Version) -> Mapping[str, Any]:
        uploaded = request.contents if request.file is None else request.file
        content = uploaded if isinstance(uploaded, bytes) else _block(uploaded, "contents")
        with _errors(request.path):
            self._dbfs.write(request.path, content, overwrite=request.overwrite)
        return {}

    def _create(self, request: DbfsCreate, _version: Version) -> Mapping[str, Any]:
        with _errors(request.path):
            handle = self._dbfs.begin_upload(request.path, now(), overwrite=request.overwrite)
        return {"handle": handle}

    def _add_block(self, request: DbfsBlock, _version: Version) -> Mapping[str, Any]:
        block = _block(request.data, "data")
        with _errors(f"handle {request.handle}"):
            self._dbfs.add_block(request.handle, block, now())
        return {}

    def _close(self, request: DbfsHandle, _version: Version) -> Mapping[str, Any]:
        with _errors(f"handle {request.handle}"):
            self._dbfs.end_upload(request.handle, now())
        return {}

    def _mkdirs(self, request: DbfsPath, _version: Version) -> Mapping[str, Any]:
        with _errors(request.path):
            self._dbfs.mkdirs(request.path)
        return {}

    def _move(self, request: DbfsMove, _version: Version) -> Mapping[str, Any]:
        with _errors(f"{request.source_path} to {request.destination_path}"):
            self._dbfs.move(request.source_path, request.destination_path)
        return {}

    def _delete(self, request: DbfsDelete, _version: Version) -> Mapping[str, Any]:
        with _errors(request.path):
            self._dbfs.delete(request.path, recursive=request.recursive)
        return {}


def _block(text: str, name: str) -> bytes:
    block = decoded(text, name)
    if len(block) > MAX_BLOCK_BYTES:
        raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"{name} can have 1 MB at most.")
    return block


def _shown(status: FileStatus) -> Mapping[str, Any]:
    return {
        "path": status.path,
        "is_dir": status.is_dir,
        "file_size": status.size,
        "modification_time": status.modified,
    }


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Answer what files refuse in the API's words; ``what`` names them."""
    try:
        yield
    except FileNotFoundError:
        raise missing(f"No file or directory exists on path {what}.") from None
    except KeyError:
        raise missing(f"No upload is open for {what}; one that is idle is closed.") from None
    except (FileExistsError, NotADirectoryError):
        raise ApiError(
            400, "RESOURCE_ALREADY_EXISTS", f"A file or directory already exists at path {what}."
        ) from None
    except IsADirectoryError:
        raise invalid(f"{what} is a directory, not a file.") from None
    except OSError as error:
        raise ApiError(400, "IO_ERROR", f"{what}: {error.strerror}.") from None
    except ValueError as error:
        raise invalid(str(error)) from None
