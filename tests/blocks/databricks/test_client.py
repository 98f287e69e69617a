"""The client's transport rules, against a real HTTPS server that answers as it is told."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from prefect_databricks import DatabricksCredentials

from blocks.databricks import ApiError, UnreachableError
from blocks.databricks.client import JobsClient, retry_after_seconds
from blocks.databricks.patience import Patience

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@dataclass
class Scripted:
    """A server with a list of answers; CUT closes the connection without one."""

    answers: list[tuple[int, Any, dict[str, str]] | None] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    port: int = 0
    ca_file: str = ""

    def client(self, patience: Patience | None = None) -> JobsClient:
        credentials = DatabricksCredentials(
            databricks_instance=f"localhost:{self.port}",
            token="secret-token",
            client_kwargs={"verify": self.ca_file},
        )
        return JobsClient(credentials, patience, self.waits.append)


CUT = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            url = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = self.headers.get("Content-Type") == "application/json"
            body = json.loads(content) if content and is_json else {}
            query = {key: value[0] for key, value in parse_qs(url.query).items()}
            scripted.requests.append((self.command, url.path, body or query))
            scripted.tokens.append(str(self.headers.get("Authorization")).split()[-1])
            given = scripted.answers.pop(0)
            if given is None:
                self.close_connection = True
                return
            status, content, headers = given
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("localhost", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        scripted.port, scripted.ca_file = http.server_port, str(ca_file)
        yield scripted
        http.shutdown()


def ok(content: Any) -> tuple[int, Any, dict[str, str]]:
    return 200, content, {}


def refusal(status: int, headers: dict[str, str] | None = None) -> tuple[int, Any, dict[str, str]]:
    return status, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}, headers or {}


def test_a_read_outlives_503_cut_connections_and_broken_bodies(server: Scripted) -> None:
    broken: tuple[int, Any, dict[str, str]] = (200, b"<html>", {})
    server.answers = [refusal(503), CUT, refusal(500), broken, ok({"run_id": 7})]
    with server.client() as client:
        assert client.get_run(7)["run_id"] == 7
    assert len(server.requests) == 5
    assert server.waits == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("header", "least"),
    [("7", 7.0), (format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True), 60.0)],
)
def test_retry_after_is_honoured(server: Scripted, header: str, least: float) -> None:
    server.answers = [refusal(429, {"Retry-After": header}), ok({"run_id": 7})]
    with server.client() as client:
        client.get_run(7)
    assert server.waits[0] >= least


def test_the_budget_ends(server: Scripted) -> None:
    server.answers = [refusal(503, {"Retry-After": "11"})]
    with server.client(Patience(seconds=10)) as client, pytest.raises(ApiError, match="503"):
        client.get_run(7)
    assert server.waits == []


def test_run_now_carries_its_token_and_is_sent_again(server: Scripted) -> None:
    server.answers = [CUT, ok({"run_id": 5})]
    with server.client() as client:
        assert client.run_now(1, {"country": "Norway"}, "token-1") == 5
    bodies = [body for _, _, body in server.requests]
    assert bodies[0] == bodies[1]
    assert bodies[0]["idempotency_token"] == "token-1"


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_job({"name": "j"}),
        lambda client: client.repair_run(5, ["a"], None, {}),
    ],
)
def test_what_has_no_token_is_sent_once(
    server: Scripted, call: Callable[[JobsClient], object]
) -> None:
    server.answers = [CUT]
    with server.client() as client, pytest.raises(UnreachableError):
        call(client)
    assert len(server.requests) == 1


def test_a_refusal_is_not_tried_again_and_says_why(server: Scripted) -> None:
    error = {"error_code": 403, "message": "Invalid access token."}
    server.answers = [(403, error, {})]
    with server.client() as client, pytest.raises(ApiError) as caught:
        client.get_run(7)
    assert (caught.value.status, caught.value.error_code) == (403, "403")
    assert "Invalid access token." in str(caught.value)
    assert "secret-token" not in str(caught.value)


def test_pages_are_joined(server: Scripted) -> None:
    first = {"run_id": 7, "tasks": [{"task_key": "a"}], "repair_history": [{}]}
    second = {"run_id": 7, "tasks": [{"task_key": "b"}], "repair_history": []}
    server.answers = [ok({**first, "next_page_token": "t"}), ok(second)]
    with server.client() as client:
        run = client.get_run(7)
    assert [task["task_key"] for task in run["tasks"]] == ["a", "b"]
    assert len(run["repair_history"]) == 1
    assert "next_page_token" not in run
    assert server.requests[1][2]["page_token"] == "t"


def test_job_names_are_compared_exactly(server: Scripted) -> None:
    jobs = [
        {"job_id": 3, "created_time": 30, "settings": {"name": "j"}},
        {"job_id": 2, "created_time": 20, "settings": {"name": "J"}},
        {"job_id": 1, "created_time": 10, "settings": {"name": "j"}},
    ]
    server.answers = [ok({"jobs": jobs[:2], "next_page_token": "t"}), ok({"jobs": jobs[2:]})]
    with server.client() as client:
        assert [job["job_id"] for job in client.find_jobs("j")] == [1, 3]


@pytest.mark.parametrize("status", [401, 403])
def test_an_oauth_token_that_expires_is_renewed(
    status: int, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stock block asks for tokens with a client of its own, which trusts this file.
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    credentials = DatabricksCredentials(
        databricks_instance=f"localhost:{server.port}",
        client_id="id",
        client_secret="secret",
        client_kwargs={"verify": server.ca_file},
    )
    expired = {"error_code": status, "message": "Invalid access token."}
    server.answers = [
        ok({"access_token": "first", "expires_in": 3600}),
        ok({"run_id": 7}),
        (status, expired, {}),
        ok({"access_token": "second", "expires_in": 3600}),
        ok({"run_id": 8}),
        (status, expired, {}),
        ok({"access_token": "third", "expires_in": 3600}),
        (status, expired, {}),
    ]
    with JobsClient(credentials, sleep=server.waits.append) as client:
        assert client.get_run(7)["run_id"] == 7
        assert client.run_now(1, {}, "token-1") == 8
        assert [token for token in server.tokens if token in ("first", "second")] == [
            "first",
            "first",
            "second",
        ]
        with pytest.raises(ApiError, match="Invalid access token"):
            client.get_run(7)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("inf", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_either_way(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
