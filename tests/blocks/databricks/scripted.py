"""A real HTTPS server that answers as it is told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from prefect_databricks import DatabricksCredentials

from blocks.databricks import Patience
from blocks.databricks.client import JobsClient


@dataclass
class Scripted:
    """A server with a list of answers; CUT closes the connection without one."""

    answers: list[tuple[int, Any, dict[str, str]] | None] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    port: int = 0
    ca_file: str = ""

    @property
    def credentials(self) -> DatabricksCredentials:
        return DatabricksCredentials(
            databricks_instance=f"localhost:{self.port}",
            token="secret-token",
            client_kwargs={"verify": self.ca_file},
        )

    def client(self, patience: Patience | None = None) -> JobsClient:
        return JobsClient(self.credentials, patience, self.waits.append)


CUT = None


def ok(content: Any) -> tuple[int, Any, dict[str, str]]:
    return 200, content, {}


def refusal(status: int, headers: dict[str, str] | None = None) -> tuple[int, Any, dict[str, str]]:
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
