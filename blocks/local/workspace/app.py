"""The application: everything that answers, put together."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from blocks.local.workspace.api import about
from blocks.local.workspace.api.access import AccessControl
from blocks.local.workspace.api.clusters import ClustersApi
from blocks.local.workspace.api.dbfs import DbfsApi
from blocks.local.workspace.api.jobs import JobsApi
from blocks.local.workspace.api.oauth import Tokens, add_oauth
from blocks.local.workspace.api.openapi import document
from blocks.local.workspace.api.permissions import PermissionsApi
from blocks.local.workspace.api.routing import add_error_handlers, add_routes
from blocks.local.workspace.api.runs import RunsApi
from blocks.local.workspace.api.secret_acls import SecretAclsApi
from blocks.local.workspace.api.secrets import SecretsApi
from blocks.local.workspace.api.workspace import WorkspaceApi
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import no_endpoint
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.routes import add_faults
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.pages.routes import add_pages
from blocks.local.workspace.service import RunService
from blocks.local.workspace.store import Store
from blocks.local.workspace.switches import Switches


def make_app(
    store: Store,
    engine: Engine,
    identity: Identity,
    token: str,
    switches: Switches,
    faults: FaultBook,
    *,
    side_api: bool,
) -> FastAPI:
    """Return the application of a workspace.

    Args:
        store: What it keeps.
        engine: What runs its runs.
        identity: Who and where it is.
        token: Bearer token of the API.
        switches: Rules that the cloud leaves open.
        faults: What it does wrong on demand.
        side_api: Whether that can be asked for, at ``/local/faults``.
    """
    app = FastAPI(title="Local Databricks workspace", openapi_url=None)
    runs = RunService(store, engine, switches)
    routes = [
        *JobsApi(store, engine, runs, identity).routes(),
        *RunsApi(store, engine, runs, identity, faults.as_read).routes(),
        *WorkspaceApi(store, engine, switches).routes(),
        *DbfsApi(store.dbfs).routes(),
        *SecretsApi(store, identity).routes(),
        *SecretAclsApi(store.secrets).routes(),
        *PermissionsApi(store, identity).routes(),
        *ClustersApi(store.clusters, engine, identity).routes(),
        *about.routes(identity),
    ]
    add_routes(app, routes)
    app.add_api_route("/openapi.json", lambda: JSONResponse(document(routes)), methods=["GET"])
    add_pages(app, store, identity)
    add_error_handlers(app)
    tokens = Tokens(token)
    add_oauth(app, tokens, identity)
    app.add_middleware(AccessControl, tokens=tokens)
    if side_api:
        add_faults(app, faults, token)

    @app.api_route(
        "/{path:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        include_in_schema=False,
    )
    async def unknown(request: Request) -> None:
        raise no_endpoint(request.method, request.url.path)

    return app
