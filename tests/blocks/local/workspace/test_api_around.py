"""The REST API around the jobs: secrets, permissions, clusters. Over HTTPS; no notebook runs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.local.workspace.store import Store


def post(client: httpx.Client, path: str, /, **body: Any) -> Any:
    answer = client.post(f"/api/2.0/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(client: httpx.Client, path: str, /, **query: Any) -> Any:
    answer = client.get(f"/api/2.0/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> tuple[int, object, str]:
    body = answer.json()
    return answer.status_code, body["error_code"], body["message"]


class TestSecrets:
    def test_scopes_and_secrets(self, client: httpx.Client) -> None:
        assert post(client, "secrets/scopes/create", scope="one.a-b") == {}
        scopes = get(client, "secrets/scopes/list")["scopes"]
        assert {"name": "one.a-b", "backend_type": "DATABRICKS"} in scopes
        again = client.post("/api/2.0/secrets/scopes/create", json={"scope": "one.a-b"})
        assert refused(again)[1:] == (
            "RESOURCE_ALREADY_EXISTS",
            "Scope one.a-b already exists!",
        )
        post(client, "secrets/put", scope="one.a-b", key="text", string_value="old")
        post(client, "secrets/put", scope="one.a-b", key="text", string_value="é")
        encoded = base64.b64encode(b"\xff\x00").decode()
        post(client, "secrets/put", scope="one.a-b", key="bytes", bytes_value=encoded)
        listed = get(client, "secrets/list", scope="one.a-b")["secrets"]
        assert [item["key"] for item in listed] == ["bytes", "text"]
        assert listed[0].keys() == {"key", "last_updated_timestamp"}
        answer = get(client, "secrets/get", scope="one.a-b", key="text")
        assert answer == {"key": "text", "value": base64.b64encode("é".encode()).decode()}
        assert get(client, "secrets/get", scope="one.a-b", key="bytes")["value"] == encoded
        post(client, "secrets/delete", scope="one.a-b", key="text")
        post(client, "secrets/scopes/delete", scope="one.a-b")
        post(client, "secrets/scopes/create", scope="one.a-b")
        assert get(client, "secrets/list", scope="one.a-b") == {}

    def test_permissions_are_recorded(self, client: httpx.Client) -> None:
        user = get(client, "preview/scim/v2/Me")["userName"]
        post(client, "secrets/scopes/create", scope="mine")
        assert get(client, "secrets/acls/list", scope="mine") == {
            "items": [{"principal": user, "permission": "MANAGE"}]
        }
        post(client, "secrets/scopes/create", scope="acl", initial_manage_principal="users")
        post(client, "secrets/acls/put", scope="acl", principal="data", permission="READ")
        post(client, "secrets/acls/put", scope="acl", principal="data", permission="WRITE")
        data = {"principal": "data", "permission": "WRITE"}
        assert get(client, "secrets/acls/get", scope="acl", principal="data") == data
        assert get(client, "secrets/acls/list", scope="acl")["items"] == [
            data,
            {"principal": "users", "permission": "MANAGE"},
        ]
        for principal in ("data", "users"):
            post(client, "secrets/acls/delete", scope="acl", principal=principal)
        assert get(client, "secrets/acls/list", scope="acl") == {}
        query = {"scope": "acl", "principal": "data"}
        for answer in (
            client.get("/api/2.0/secrets/acls/get", params=query),
            client.post("/api/2.0/secrets/acls/delete", json=query),
        ):
            assert refused(answer) == (
                404,
                "RESOURCE_DOES_NOT_EXIST",
                "data has no permission on scope acl.",
            )
        for path, body in (
            ("acls/put", {**query, "permission": "OWN"}),
            ("acls/put", {**query, "principal": "", "permission": "READ"}),
            ("scopes/create", {"scope": "new", "initial_manage_principal": "data"}),
        ):
            answer = client.post(f"/api/2.0/secrets/{path}", json=body)
            assert refused(answer)[:2] == (400, "INVALID_PARAMETER_VALUE")

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("scopes/delete", {"scope": "gone"}),
            ("acls/put", {"scope": "gone", "principal": "p", "permission": "READ"}),
            ("acls/delete", {"scope": "gone", "principal": "p"}),
            ("put", {"scope": "gone", "key": "k", "string_value": "v"}),
            ("delete", {"scope": "gone", "key": "k"}),
        ],
    )
    def test_what_is_missing(self, client: httpx.Client, path: str, body: dict[str, str]) -> None:
        answer = client.post(f"/api/2.0/secrets/{path}", json=body)
        expected = (404, "RESOURCE_DOES_NOT_EXIST", "Scope gone does not exist!")
        assert refused(answer) == expected

    def test_a_missing_key(self, client: httpx.Client) -> None:
        post(client, "secrets/scopes/create", scope="empty")
        query = {"scope": "empty", "key": "k"}
        for answer in (
            client.get("/api/2.0/secrets/get", params=query),
            client.post("/api/2.0/secrets/delete", json=query),
        ):
            assert refused(answer) == (
                404,
                "RESOURCE_DOES_NOT_EXIST",
                "Secret does not exist with scope: empty and key: k",
            )

    @pytest.mark.parametrize(
        "body",
        [
            {"key": "k"},
            {"key": "k", "string_value": "a", "bytes_value": "YQ=="},
            {"key": "k", "bytes_value": "%"},
            {"key": "k k", "string_value": "a"},
            {"key": "k" * 129, "string_value": "a"},
            {"key": "k", "string_value": "a" * (128 * 1024 + 1)},
        ],
    )
    def test_secrets_that_are_refused(self, client: httpx.Client, body: dict[str, str]) -> None:
        client.post("/api/2.0/secrets/scopes/create", json={"scope": "refusing"})
        answer = client.post("/api/2.0/secrets/put", json={"scope": "refusing", **body})
        assert refused(answer)[:2] == (400, "INVALID_PARAMETER_VALUE")

    def test_a_scope_holds_a_thousand_secrets(
        self, client: httpx.Client, server_store: Store
    ) -> None:
        post(client, "secrets/scopes/create", scope="full")
        with server_store.transaction():
            for number in range(1000):
                server_store.secrets.put("full", f"k{number}", b"", 0)
        full = {"scope": "full", "string_value": "v"}
        answer = client.post("/api/2.0/secrets/put", json={**full, "key": "more"})
        assert refused(answer)[1] == "RESOURCE_LIMIT_EXCEEDED"
        post(client, "secrets/put", **full, key="k1")


@pytest.fixture
def server_store(client: httpx.Client, server: Any) -> Any:
    """The server's own database, opened a second time."""
    store = Store(Path(server.state_dir) / "workspace.db")
    yield store
    store.close()


class TestPermissions:
    def test_get_replace_and_add(self, client: httpx.Client) -> None:
        answer = client.post("/api/2.2/jobs/create", json={"name": "p"})
        job_id = answer.json()["job_id"]
        path = f"/api/2.0/permissions/jobs/{job_id}"
        shown = client.get(path).json()
        assert (shown["object_id"], shown["object_type"]) == (f"/jobs/{job_id}", "job")
        assert levels(shown) == {"local@localhost": "IS_OWNER", "admins": "CAN_MANAGE"}
        view = {"group_name": "users", "permission_level": "CAN_VIEW"}
        shown = client.patch(path, json={"access_control_list": [view]}).json()
        assert levels(shown) == {
            "local@localhost": "IS_OWNER",
            "users": "CAN_VIEW",
            "admins": "CAN_MANAGE",
        }
        owner = {"service_principal_name": "robot", "permission_level": "IS_OWNER"}
        changed = client.patch(path, json={"access_control_list": [owner]}).json()
        assert levels(changed) == {"robot": "IS_OWNER", "users": "CAN_VIEW", "admins": "CAN_MANAGE"}
        assert levels(client.put(path, json={"access_control_list": [owner]}).json()) == {
            "robot": "IS_OWNER",
            "admins": "CAN_MANAGE",
        }
        assert levels(client.get(path).json())["robot"] == "IS_OWNER"

    def test_refusals(self, client: httpx.Client) -> None:
        job_id = client.post("/api/2.2/jobs/create", json={"name": "p"}).json()["job_id"]
        path = f"/api/2.0/permissions/jobs/{job_id}"
        for entries in (
            [{"group_name": "users", "permission_level": "CAN_VIEW"}],
            [{"group_name": "users", "permission_level": "IS_OWNER"}],
            [{"permission_level": "IS_OWNER"}],
            [{"user_name": "a", "permission_level": "CAN_DO"}],
        ):
            answer = client.put(path, json={"access_control_list": entries})
            assert refused(answer)[:2] == (400, "INVALID_PARAMETER_VALUE")
        assert refused(client.get("/api/2.0/permissions/jobs/1"))[:2] == (
            404,
            "RESOURCE_DOES_NOT_EXIST",
        )


def levels(shown: Any) -> dict[str, str]:
    return {
        next(value for name, value in entry.items() if name.endswith("_name")): (
            entry["all_permissions"][0]["permission_level"]
        )
        for entry in shown["access_control_list"]
    }
