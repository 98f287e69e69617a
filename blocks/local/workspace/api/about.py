"""The small endpoints that clients ask before they begin: who am I, which Sparks are there."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from blocks.local.workspace.api.requests import Nothing
from blocks.local.workspace.api.routing import Answer, Route, Version, route
from blocks.local.workspace.identity import Identity

_SPARK_VERSION = {"key": "17.3.x-scala2.13", "name": "17.3 LTS (includes Apache Spark 4.0.0)"}


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

    def spark_versions(_request: Nothing, _version: Version) -> Answer:
        return {"versions": [_SPARK_VERSION]}

    return [
        route("GET", "preview/scim/v2/Me", ("2.0",), Nothing, me),
        route("GET", "clusters/spark-versions", ("2.0", "2.1"), Nothing, spark_versions),
    ]
