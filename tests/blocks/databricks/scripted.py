"""A real HTTPS server that answers as it is told."""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from prefect_databricks import DatabricksCredentials

from blocks.databricks import Patience
from blocks.databricks.client import JobsClient

# What is sent in the place of an answer by hand, after which the connection is closed.
ByHand = Callable[[BaseHTTPRequestHandler], None]
Spoken = tuple[int, Any, dict[str, str]]
Answer = Spoken | ByHand


@dataclass
class Scripted:
    """A server with a list of answers."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    port: int = 0
    ca_file: str = ""

    @property
    def credentials(self) -> DatabricksCredentials:
        return self.credentials_with(token="secret-token")

    def credentials_with(self, **changed: Any) -> DatabricksCredentials:
        common = {
            "databricks_instance": f"localhost:{self.port}",
            "client_kwargs": {"verify": self.ca_file},
        }
        return DatabricksCredentials(**(common | changed))

    def client(self, patience: Patience | None = None) -> JobsClient:
        return JobsClient(self.credentials, patience, self.waits.append)


def cut(_: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""


def plain_text(handler: BaseHTTPRequestHandler) -> None:
    """Answer without encryption within an encrypted connection."""
    os.write(handler.connection.fileno(), b"HTTP/1.1 502 Bad Gateway\r\n\r\n")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a body that does not end, for as long as anybody listens."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)


def ok(content: Any) -> Spoken:
    return 200, content, {}


def refusal(status: int, headers: dict[str, str] | None = None) -> Spoken:
    return status, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}, headers or {}


@contextmanager
def scripted_server(folder: Path) -> Iterator[Scripted]:
    """Serve answers until the ``with`` block is left."""
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
            if callable(given):
                self.close_connection = True
                given(self)
                return
            status, content, headers = given
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            # Without a date, unless one is given.
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("localhost", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        scripted.port, scripted.ca_file = http.server_port, str(ca_file)
        yield scripted
        http.shutdown()
