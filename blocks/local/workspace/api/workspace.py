"""``/api/2.0/workspace/*``: folders, notebooks and files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi.responses import Response
from pydantic import Field

from blocks.local.workspace.api.content import decoded
from blocks.local.workspace.api.routing import Answer, Route, Version, route
from blocks.local.workspace.clock import now
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import ApiError, invalid, no_path
from blocks.local.workspace.models import Settings
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.objects import ObjectType, WorkspaceObject, normalise, parent
from blocks.local.workspace.switches import Switches

NOTEBOOK_MARKER = b"# Databricks notebook source"
_VERSIONS: tuple[Version, ...] = ("2.0",)
_LANGUAGE_OF_SUFFIX = {"py": "PYTHON", "sql": "SQL", "scala": "SCALA", "r": "R"}
_SUFFIX_OF_LANGUAGE = {language: suffix for suffix, language in _LANGUAGE_OF_SUFFIX.items()}
_MARKER_OF_SUFFIX = {
    "py": NOTEBOOK_MARKER,
    "r": NOTEBOOK_MARKER,
    "sql": b"-- Databricks notebook source",
    "scala": b"// Databricks notebook source",
}

AbsolutePath = Annotated[str, Field(pattern="^/", max_length=4096)]


class PathRequest(Settings):
    """``get-status``, ``list`` and ``mkdirs``."""

    path: AbsolutePath


class ImportRequest(PathRequest):
    """``import``: content in base64, or the bytes of an uploaded part."""

    content: str | bytes = ""
    format: Literal["SOURCE", "AUTO", "JUPYTER", "RAW", "HTML", "DBC", "R_MARKDOWN"] = "SOURCE"
    language: Literal["PYTHON", "SQL", "SCALA", "R"] | None = None
    overwrite: bool = False


class ExportRequest(PathRequest):
    """``export``."""

    format: Literal["SOURCE", "AUTO", "JUPYTER", "RAW", "HTML", "DBC", "R_MARKDOWN"] = "SOURCE"
    direct_download: bool = False


class DeleteRequest(PathRequest):
    """``delete``."""

    recursive: bool = False


class WorkspaceApi:
    """Handlers of the endpoints for workspace objects.

    Args:
        store: Where they are kept.
        engine: Warned when notebooks arrive, because one will soon be run.
        switches: Rules that the cloud leaves open.
    """

    def __init__(self, store: Store, engine: Engine, switches: Switches) -> None:
        self._store = store
        self._engine = engine
        self._switches = switches

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("POST", "workspace/import", _VERSIONS, ImportRequest, self._import),
            route("GET", "workspace/export", _VERSIONS, ExportRequest, self._export),
            route("GET", "workspace/get-status", _VERSIONS, PathRequest, self._get_status),
            route("GET", "workspace/list", _VERSIONS, PathRequest, self._list),
            route("POST", "workspace/mkdirs", _VERSIONS, PathRequest, self._mkdirs),
            route("POST", "workspace/delete", _VERSIONS, DeleteRequest, self._delete),
        ]

    def _import(self, request: ImportRequest, _version: Version) -> Answer:
        item = imported(request)
        with self._store.transaction():
            folder = self._store.objects.get(parent(item.path))
            if folder is None or folder.object_type is not ObjectType.DIRECTORY:
                raise ApiError(
                    404,
                    "RESOURCE_DOES_NOT_EXIST",
                    f"The parent folder ({parent(item.path)}) does not exist.",
                )
            old = self._store.objects.get(item.path)
            if old is not None and (
                not request.overwrite or old.object_type is ObjectType.DIRECTORY
            ):
                raise self._taken(item.path)
            self._store.objects.put(item, now())
        self._engine.prepare()
        return {}

    def _export(self, request: ExportRequest, _version: Version) -> Answer:
        item = self._object(request.path)
        if item.object_type is ObjectType.DIRECTORY:
            raise invalid(f"{item.path} is a folder; only notebooks and files can be exported.")
        if request.format not in {"SOURCE", "AUTO", "RAW", item.format}:
            raise invalid(f"{item.path} cannot be exported as {request.format}.")
        if request.direct_download:
            return Response(item.content, media_type="application/octet-stream")
        suffix = item.path.rpartition(".")[2]
        if item.object_type is ObjectType.NOTEBOOK:
            suffix = (
                "ipynb"
                if item.format == "JUPYTER"
                else _SUFFIX_OF_LANGUAGE[item.language or "PYTHON"]
            )
        return {"content": base64.b64encode(item.content).decode(), "file_type": suffix}

    def _get_status(self, request: PathRequest, _version: Version) -> Answer:
        return _status(self._object(request.path))

    def _list(self, request: PathRequest, _version: Version) -> Answer:
        item = self._object(request.path)
        if item.object_type is not ObjectType.DIRECTORY:
            return {"objects": [_status(item)]}
        children = [_status(child) for child in self._store.objects.children(item.path)]
        return {"objects": children} if children else {}

    def _mkdirs(self, request: PathRequest, _version: Version) -> Answer:
        with self._store.transaction():
            folder = ""
            for name in normalise(request.path).split("/")[1:]:
                folder = f"{folder}/{name}".rstrip("/")
                item = self._store.objects.get(folder or "/")
                if item is None:
                    self._store.objects.put(WorkspaceObject(folder, ObjectType.DIRECTORY), now())
                elif item.object_type is not ObjectType.DIRECTORY:
                    raise self._taken(folder)
        return {}

    def _delete(self, request: DeleteRequest, _version: Version) -> Answer:
        with self._store.transaction():
            item = self._object(request.path)
            if item.path == "/":
                raise invalid("The root folder cannot be deleted.")
            if not request.recursive and self._store.objects.children(item.path):
                raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({item.path}) is not empty.")
            self._store.objects.delete(item.path)
        return {}

    def _taken(self, path: str) -> ApiError:
        status = int(self._switches.taken_path_status)
        return ApiError(status, "RESOURCE_ALREADY_EXISTS", f"{path} already exists.")

    def _object(self, path: str) -> WorkspaceObject:
        item = self._store.objects.get(normalise(path))
        if item is None:
            raise no_path(path)
        return item


def imported(request: ImportRequest) -> WorkspaceObject:
    """Return the object that an import asks for: a notebook or a file.

    Raises:
        ApiError: The content, its format and its language do not fit together.
    """
    content = _content(request.content)
    path = normalise(request.path)
    if path == "/":
        raise invalid("An import needs the path of a notebook or file, not of the root folder.")
    stem, dot, suffix = path.rpartition(".")
    suffix = suffix.lower() if dot and "/" not in suffix else ""
    match request.format:
        case "RAW":
            return WorkspaceObject(path, ObjectType.FILE, content)
        case "AUTO" if suffix == "ipynb":
            return _notebook(stem, content, "PYTHON", "JUPYTER")
        case "AUTO":
            marker = _MARKER_OF_SUFFIX.get(suffix)
            if marker is not None and content.splitlines()[:1] == [marker]:
                return _notebook(stem, content, _LANGUAGE_OF_SUFFIX[suffix], "SOURCE")
            return WorkspaceObject(path, ObjectType.FILE, content)
        case "SOURCE" if request.language is not None:
            return _notebook(path, content, request.language, "SOURCE")
        case "SOURCE":
            raise invalid("The language must be specified to import a notebook as SOURCE.")
        case "JUPYTER":
            return _notebook(path.removesuffix(".ipynb"), content, "PYTHON", "JUPYTER")
        case _:
            raise invalid(f"The local workspace does not import the format {request.format}.")


def _notebook(path: str, content: bytes, language: str, form: str) -> WorkspaceObject:
    try:
        content.decode()
    except UnicodeDecodeError:
        raise invalid(f"The notebook {path} is not UTF-8 text.") from None
    return WorkspaceObject(path, ObjectType.NOTEBOOK, content, language, form)


def _content(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    return decoded(content, "content")


def _status(item: WorkspaceObject) -> Mapping[str, Any]:
    status: dict[str, Any] = {
        "path": item.path,
        "object_type": item.object_type,
        "object_id": item.object_id,
    }
    if item.object_type is not ObjectType.DIRECTORY:
        status |= {"created_at": item.created, "modified_at": item.modified}
    if item.object_type is ObjectType.NOTEBOOK:
        status["language"] = item.language
    if item.object_type is ObjectType.FILE:
        status["size"] = len(item.content)
    return status
