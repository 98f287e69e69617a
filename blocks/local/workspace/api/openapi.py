"""The description of the API, as OpenAPI: what each endpoint takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from blocks.local.workspace.api.routing import Route

_SCHEMAS = "#/components/schemas/"
_ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
_RESPONSES: Mapping[str, Any] = {
    "200": {
        "description": "Done",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "4XX": {
        "description": "Refused",
        "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Error"}}},
    },
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of endpoints; each version of one is a path of its own."""
    routes = list(routes)
    models = {model for item in routes for model in _models(item)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=f"{_SCHEMAS}{{model}}"
    )
    schemas: dict[str, Any] = definitions["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for item in routes:
        for version in item.versions:
            operation = {
                "operationId": f"{item.method} {version} {item.path}",
                "responses": _RESPONSES,
                **_arguments(item, schemas),
            }
            path = paths.setdefault(f"/api/{version}/{item.path}", {})
            path[item.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Local Databricks workspace", "version": "2.2"},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(item: Route) -> tuple[type[BaseModel], ...]:
    return (item.request, *item.also)


def _arguments(item: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return where an endpoint's arguments are: those in its path, the others by its method."""
    properties: dict[str, Any] = {}
    required: set[str] = set()
    for model in _models(item):
        schema = schemas[model.__name__]
        properties |= schema.get("properties", {})
        required |= set(schema.get("required", ()))
    in_path = set(re.findall(r"{(\w+)}", item.path))
    parameters = [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in required | in_path,
            "schema": schema,
        }
        for name, schema in properties.items()
        if name in in_path or item.method == "GET"
    ]
    if item.method == "GET":
        return {"parameters": parameters}
    refs = [{"$ref": f"{_SCHEMAS}{model.__name__}"} for model in _models(item)]
    schema = refs[0] if len(refs) == 1 else {"allOf": refs}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"parameters": parameters, "requestBody": body}
