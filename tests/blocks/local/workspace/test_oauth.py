"""Service principals: the clients of others get tokens, and nobody else does."""

from __future__ import annotations

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from hypothesis import given
from hypothesis import strategies as st
from prefect_databricks import DatabricksCredentials

from blocks.databricks.client import JobsClient
from blocks.local.workspace.api.oauth import Tokens
from blocks.local.workspace.testing import RunningWorkspace


class TestTokens:
    def test_an_issued_token_is_valid_for_an_hour(self) -> None:
        now = 1_000.0
        tokens = Tokens("secret", clock=lambda: now)
        token = tokens.issue("secret")
        assert token is not None
        assert "secret" not in token
        now += 3599
        assert tokens.accepts(token)
        now += 1
        assert not tokens.accepts(token)

    def test_a_longer_life_cannot_be_claimed(self) -> None:
        tokens = Tokens("secret", clock=lambda: 0.0)
        issued = tokens.issue("secret")
        assert issued is not None
        assert not tokens.accepts(f"9{issued}")

    @given(st.text().filter(lambda text: text != "secret"))
    def test_nothing_else_is_accepted(self, text: str) -> None:
        tokens = Tokens("secret")
        assert not tokens.accepts(text)
        assert tokens.issue(text) is None


@pytest.fixture
def trusted(workspace: RunningWorkspace, monkeypatch: pytest.MonkeyPatch) -> RunningWorkspace:
    """A workspace whose certificate every client of this process trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(workspace.ca_file))
    monkeypatch.setenv("SSL_CERT_FILE", str(workspace.ca_file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return workspace


def test_databricks_sdk_signs_in(trusted: RunningWorkspace) -> None:
    client = WorkspaceClient(host=trusted.url, client_id="principal", client_secret=trusted.token)

    assert client.config.auth_type == "oauth-m2m"
    assert client.current_user.me().active


def test_prefect_databricks_signs_in(trusted: RunningWorkspace) -> None:
    credentials = DatabricksCredentials(
        databricks_instance=trusted.host, client_id="principal", client_secret=trusted.token
    )

    with JobsClient(credentials) as client:
        assert client.find_jobs("none") == []


@pytest.mark.parametrize(
    ("authorization", "grant_type", "status", "error"),
    [
        (("principal", "wrong"), "client_credentials", 401, "invalid_client"),
        (None, "client_credentials", 401, "invalid_client"),
        (("principal", "wrong"), "password", 400, "unsupported_grant_type"),
    ],
)
def test_refusals(
    workspace: RunningWorkspace,
    authorization: tuple[str, str] | None,
    grant_type: str,
    status: int,
    error: str,
) -> None:
    trust = httpx.create_ssl_context(verify=str(workspace.ca_file))
    answer = httpx.post(
        f"{workspace.url}/oidc/v1/token",
        auth=authorization,
        data={"grant_type": grant_type, "scope": "all-apis"},
        verify=trust,
    )

    assert (answer.status_code, answer.json()["error"]) == (status, error)
