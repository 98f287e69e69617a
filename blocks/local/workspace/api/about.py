"""The small endpoint that clients ask before they begin: who am I?"""

from __future__ import annotations

from fastapi.responses import JSONResponse

from blocks.local.workspace.api.requests import Nothing
from blocks.local.workspace.api.routing import Answer, Route, Version, route
from blocks.local.workspace.identity import Identity


def routes(identity: Identity) -> list[Route]:
    """Return the endpoints."""

    def me(_request: Nothing, _version: Version) -> Answer:
        user = {
            "id": str(identity.user_id),
            "userName": identity.user_name,
            "displayName": identity.user_name,
            "active": True,
            "emails": [{"type": "work", "value": identity.user_name, "primary": True}],
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        }
        return JSONResponse(user, headers={"X-Databricks-Org-Id": str(identity.org_id)})

    return [route("GET", "preview/scim/v2/Me", ("2.0",), Nothing, me)]
