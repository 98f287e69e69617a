"""The journal of the requests that the workspace received."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.faults.journal import Entry, Journal, read_body
from blocks.local.workspace.testing import RunningWorkspace

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def noted(body: Any) -> Any:
    journal = Journal(["dapi123"])
    journal.add(Entry(1, "POST", "/api/2.2/x", {}, body, 200, None))
    return journal.entries()[0].body


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"idempotency_token": "once"}, {"idempotency_token": "once"}),
        ({"page_token": "next", "task_key": "a"}, {"page_token": "next", "task_key": "a"}),
        ({"scope": "s", "string_value": "hush"}, {"scope": "s", "string_value": "[REDACTED]"}),
        ({"env": {"AWS_SECRET_KEY": "x"}}, {"env": {"AWS_SECRET_KEY": "[REDACTED]"}}),
        ({"text": "my dapi123!"}, {"text": "my [REDACTED]!"}),
        ({"dapi123": 1}, {"[REDACTED]": 1}),
        ({"content": "x" * 5000}, {"content": "[5000 characters]"}),
    ],
)
def test_what_is_secret_is_left_out(body: Any, shown: Any) -> None:
    assert noted(body) == shown


@given(json_values)
def test_any_body_can_be_noted_and_shown(value: Any) -> None:
    encoded = json.dumps(value).encode()
    assert json.dumps(noted(read_body("", encoded)), ensure_ascii=False).encode()


@pytest.mark.parametrize("body", [b"\xff", b"{", b'{"a": NaN}', b'"\\ud800"', b"[" * 100_000])
def test_bodies_that_are_no_json_are_described(body: bytes) -> None:
    assert read_body("text/plain", body) == f"[{len(body)} bytes of text/plain]"


def test_nothing_is_kept_of_what_is_nested_too_deep() -> None:
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    assert "end" not in json.dumps(noted(deep))


def test_it_is_bounded() -> None:
    journal = Journal([])
    for number in range(10_050):
        journal.add(Entry(number, "GET", "/", {}, None, 200, None))
    entries = journal.entries()
    assert (len(entries), entries[-1].time) == (10_000, 10_049)


def test_requests_are_noted_in_order_with_their_answers(workspace: RunningWorkspace) -> None:
    with workspace.client() as client:
        created = client.post("/api/2.2/jobs/create", json={"name": "noted"}).json()
        client.get("/api/2.2/jobs/get", params={"job_id": created["job_id"]})
        client.get("/api/2.2/jobs/get", params={"job_id": 1})
        client.get("/api/2.0/nothing/here")
        client.get("/.well-known/databricks-config")
        client.post("/api/2.2/jobs/create", content=b"{", headers={"content-type": "text/x"})
    httpx.get(f"{workspace.http_url}/api/2.2/jobs/list", headers={"Authorization": "Bearer no"})
    seen = [(item.method, item.path, item.status) for item in workspace.journal("* *")]
    assert seen == [
        ("POST", "/api/2.2/jobs/create", 200),
        ("GET", "/api/2.2/jobs/get", 200),
        ("GET", "/api/2.2/jobs/get", 400),
        ("GET", "/api/2.0/nothing/here", 404),
        ("POST", "/api/2.2/jobs/create", 400),
        ("GET", "/api/2.2/jobs/list", 403),
    ]
    first, found, *_ = workspace.journal()
    assert (first.body, first.fault) == ({"name": "noted"}, None)
    assert found.query == {"job_id": str(created["job_id"])}
    assert workspace.journal("POST jobs/create")[1].body == "[1 bytes of text/x]"
    everything = json.dumps(workspace.side_api("GET", "journal"))
    assert "/.well-known/databricks-config" in everything
    assert workspace.token not in everything
    workspace.clear_journal()
    assert workspace.journal() == []
