"""The application: everything that answers, put together."""

from __future__ import annotations

from fastapi import FastAPI, Request

from blocks.local.workspace.api import about
from blocks.local.workspace.api.access import AccessControl
from blocks.local.workspace.api.jobs import JobsApi
from blocks.local.workspace.api.routing import add_error_handlers, add_routes
from blocks.local.workspace.api.runs import RunsApi
from blocks.local.workspace.api.workspace import WorkspaceApi
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import no_endpoint
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.pages.routes import add_pages
from blocks.local.workspace.service import RunService
from blocks.local.workspace.store import Store
from blocks.local.workspace.switches import Switches


def make_app(
    store: Store, engine: Engine, identity: Identity, token: str, switches: Switches
) -> FastAPI:
    """Return the application of a workspace.

    Args:
        store: What it keeps.
        engine: What runs its runs.
        identity: Who and where it is.
        token: Bearer token of the API.
        switches: Rules that the cloud leaves open.
    """
    app = FastAPI(title="Local Databricks workspace", docs_url=None, redoc_url=None)
    runs = RunService(store, engine, switches)
    add_routes(
        app,
        [
            *JobsApi(store, engine, runs, identity).routes(),
            *RunsApi(store, engine, runs, identity).routes(),
            *WorkspaceApi(store, engine).routes(),
            *about.routes(identity),
        ],
    )
    add_pages(app, store, identity)
    add_error_handlers(app)

    @app.api_route(
        "/{path:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        include_in_schema=False,
    )
    async def unknown(request: Request) -> None:
        raise no_endpoint(request.method, request.url.path)

    app.add_middleware(AccessControl, token=token)
    return app
