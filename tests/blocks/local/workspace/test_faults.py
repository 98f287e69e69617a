"""Faults of requests, as a client of a real server meets them over HTTPS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from blocks.local.workspace.testing import RunningWorkspace, running_workspace

CREATE = "/api/2.2/jobs/create"
LIST = "/api/2.2/jobs/list"


def names(client: httpx.Client) -> list[str]:
    jobs = client.get(LIST).json().get("jobs", [])
    return [item["settings"]["name"] for item in jobs]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    with running_workspace(tmp_path_factory.mktemp("state"), "--faults") as running:
        yield running


@pytest.fixture
def workspace(started: RunningWorkspace) -> RunningWorkspace:
    """The one server, without what the test before left."""
    with started.client() as connected:
        for item in connected.get(LIST, params={"limit": 100}).json().get("jobs", []):
            connected.post("/api/2.2/jobs/delete", json={"job_id": item["job_id"]})
    started.faults.clear()
    started.clear_journal()
    return started


@pytest.fixture
def client(workspace: RunningWorkspace) -> Iterator[httpx.Client]:
    with workspace.client() as connected:
        yield connected


@pytest.mark.parametrize(
    ("kind", "settings", "status", "code"),
    [
        ("too_many_requests", {"retry_after": 7}, 429, "REQUEST_LIMIT_EXCEEDED"),
        ("unavailable", {}, 503, "TEMPORARILY_UNAVAILABLE"),
        ("internal_error", {}, 500, "INTERNAL_ERROR"),
        ("expired_token", {}, 403, 403),
        ("expired_token", {"status": 401}, 401, "UNAUTHENTICATED"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_refusals(
    workspace: RunningWorkspace,
    client: httpx.Client,
    kind: str,
    settings: dict[str, Any],
    status: int,
    code: object,
    when: str,
) -> None:
    workspace.faults.add(kind, endpoint="POST jobs/create", when=when, **settings)
    answer = client.post(CREATE, json={"name": "x"})
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("7" if settings.get("retry_after") else None)
    assert names(client) == (["x"] if when == "after" else [])
    assert client.post(CREATE, json={"name": "y"}).status_code == 200
    noted = workspace.journal("POST jobs/create")
    assert [(item.status, item.fault) for item in noted] == [(status, kind), (200, None)]


def test_retry_after_as_a_date(workspace: RunningWorkspace, client: httpx.Client) -> None:
    workspace.faults.add(
        "unavailable", endpoint="GET jobs/*", retry_after=60, retry_after_form="date"
    )
    date = parsedate_to_datetime(client.get(LIST).headers["Retry-After"])
    assert 50 < date.timestamp() - time.time() <= 60


@pytest.mark.parametrize("url", ["url", "http_url"])
@pytest.mark.parametrize(("when", "kept"), [("before", []), ("after", ["x"])])
def test_a_cut_connection(workspace: RunningWorkspace, url: str, when: str, kept: Any) -> None:
    with workspace.client() as client:
        client.base_url = httpx.URL(getattr(workspace, url))
        assert names(client) == []
        workspace.faults.add("cut", endpoint="POST jobs/create", when=when)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post(CREATE, json={"name": "x"})
        assert names(client) == kept
    (noted,) = workspace.journal("POST jobs/create")
    assert (noted.status, noted.fault, noted.body) == (None, "cut", {"name": "x"})


def test_no_byte_is_sent_on_a_connection_that_is_cut(workspace: RunningWorkspace) -> None:
    workspace.faults.add("cut", endpoint="* *")
    port = int(workspace.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(workspace.ca_file))
    request = (
        f"GET {LIST} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {workspace.token}\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as connection,
    ):
        connection.sendall(request.encode())
        # Not even the end of TLS, which would give b"".
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            connection.recv(1)


def test_malformed_json(workspace: RunningWorkspace, client: httpx.Client) -> None:
    workspace.faults.add("malformed_json", endpoint="GET jobs/list", times=2)
    for _ in range(2):
        answer = client.get(LIST)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()
    assert names(client) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay(workspace: RunningWorkspace, client: httpx.Client, when: str) -> None:
    workspace.faults.add("delay", endpoint="POST jobs/create", seconds=0.4, when=when)
    begun = time.monotonic()
    assert client.post(CREATE, json={"name": "x"}).json()["job_id"]
    assert time.monotonic() - begun >= 0.4


def test_the_list_tells_how_often_each_struck(
    workspace: RunningWorkspace, client: httpx.Client
) -> None:
    workspace.faults.add("unavailable", endpoint="GET jobs/list", probability=0.5, seed=3)
    statuses = [client.get(LIST).status_code for _ in range(20)]
    (armed,) = workspace.faults.armed()
    assert 0 < statuses.count(503) < 20
    assert (armed["met"], armed["struck"]) == (20, statuses.count(503))
    workspace.faults.clear()
    assert workspace.faults.armed() == []
    assert names(client) == []


def test_what_is_no_fault_is_refused_in_one_sentence(workspace: RunningWorkspace) -> None:
    with pytest.raises(ValueError, match=r"^Missing required field: endpoint$"):
        workspace.faults.add("cut")


def test_reads_after_a_repair_can_be_stale(
    workspace: RunningWorkspace, client: httpx.Client
) -> None:
    def read() -> Any:
        query = {"run_id": run_id, "include_history": "true"}
        return client.get("/api/2.2/jobs/runs/get", params=query).json()

    def finished() -> Any:
        while not (run := read())["end_time"]:
            time.sleep(0.02)
        return run

    task = {"task_key": "a", "notebook_task": {"notebook_path": "/missing"}}
    job_id = client.post(CREATE, json={"tasks": [task]}).json()["job_id"]
    run_id = client.post("/api/2.2/jobs/run-now", json={"job_id": job_id}).json()["run_id"]
    before = finished()
    workspace.faults.add("stale_reads", times=2)
    assert read() == before
    body = {"run_id": run_id, "rerun_tasks": ["a"]}
    repair_id = client.post("/api/2.2/jobs/runs/repair", json=body).json()["repair_id"]
    assert [read(), read()] == [before, before]
    after = finished()
    assert [item.get("id") for item in after["repair_history"]] == [None, repair_id]
    faults = [item.fault for item in workspace.journal("GET jobs/runs/get") if item.fault]
    assert faults == ["stale_reads", "stale_reads"]


def test_there_is_no_side_api_unless_it_is_switched_on(server: RunningWorkspace) -> None:
    with server.client() as client:
        for method, name in (("POST", "faults"), ("GET", "faults"), ("GET", "journal")):
            answer = client.request(method, f"/local/{name}")
            assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


@pytest.mark.parametrize("name", ["faults", "journal"])
def test_the_side_api_needs_the_token(workspace: RunningWorkspace, name: str) -> None:
    url = f"{workspace.http_url}/local/{name}"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer no"}).status_code == 403
