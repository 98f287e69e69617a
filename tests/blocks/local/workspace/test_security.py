"""What keeps others out: the address, the token, the size of a request, and the paths."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from blocks.local.workspace.api.routing import MAX_BODY_BYTES
from blocks.local.workspace.testing import RunningWorkspace, running_workspace

OUTSIDE = ["/../../outside", "/Shared/../../../outside", "/%2e%2e/outside", "/..\\outside", "/\0x"]


def files(folder: Path) -> set[str]:
    """Return what is in a folder, but for the database's own files."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if "workspace.db" not in name}


def test_there_is_no_way_to_listen_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "blocks.local.workspace", "--state-dir", str(tmp_path / "s")]
    refused = subprocess.run(
        [*command, "--host", "0.0.0.0"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "unrecognized arguments: --host 0.0.0.0" in refused.stderr
    assert not (tmp_path / "s").exists()


class TestBodies:
    def test_ten_megabytes_are_read(self, client: httpx.Client) -> None:
        body = b'{"name": "x"}'.ljust(MAX_BODY_BYTES)
        assert client.post("/api/2.2/jobs/create", content=body).status_code == 200

    def test_more_is_refused_whether_its_length_is_told_or_not(self, client: httpx.Client) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(11):
                yield b" " * 1024 * 1024

        told = b" " * (MAX_BODY_BYTES + 1)
        for path in ("2.2/jobs/create", "2.0/workspace/import"):
            for content in (told, chunks()):
                answer = client.post(f"/api/{path}", content=content)
                assert answer.status_code == 413
                assert answer.json()["message"] == "A request can have 10 MB at most."

    def test_uploads_too(self, client: httpx.Client) -> None:
        answer = client.post(
            "/api/2.0/workspace/import",
            data={"path": "/large", "format": "RAW"},
            files={"content": b" " * MAX_BODY_BYTES},
        )
        assert answer.status_code == 413

    def test_the_journal_does_not_lift_the_limit(self, workspace: RunningWorkspace) -> None:
        with workspace.client() as client:
            body = b" " * (MAX_BODY_BYTES + 1)
            assert client.post("/api/2.2/jobs/create", content=body).status_code == 413


class TestPaths:
    @pytest.mark.parametrize("path", OUTSIDE)
    def test_workspace_paths_are_names_and_no_files(
        self, server: RunningWorkspace, client: httpx.Client, path: str
    ) -> None:
        top = server.state_dir.parent
        before = files(top)
        content = base64.b64encode(b"print(1)").decode()
        client.post("/api/2.0/workspace/mkdirs", json={"path": path.rpartition("/")[0] or "/"})
        client.post(
            "/api/2.0/workspace/import",
            json={"path": path, "content": content, "format": "RAW", "overwrite": True},
        )
        client.get("/api/2.0/workspace/export", params={"path": path})
        client.post("/api/2.0/workspace/delete", json={"path": path, "recursive": True})
        assert files(top) == before

    @pytest.mark.parametrize("name", ["token", "ca.key", "workspace.db"])
    @pytest.mark.parametrize("up", ["..", "%2e%2e", "..%2f.."])
    def test_files_of_the_server_are_not_served(
        self, server: RunningWorkspace, client: httpx.Client, name: str, up: str
    ) -> None:
        for prefix in ("/static", ""):
            path = f"{prefix}/{'/'.join([up] * 12)}{server.state_dir / name}"
            answer = client.send(_raw(client, path))
            assert answer.status_code in {400, 404}
            assert server.token not in answer.text


def _raw(client: httpx.Client, path: str) -> httpx.Request:
    """Return a request whose path is sent as it is written."""
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    return request


def test_the_token_is_shown_at_the_start_and_then_never(tmp_path: Path) -> None:
    with running_workspace(tmp_path / "state", "--faults") as running:
        arguments = Path(f"/proc/{running.pid}/cmdline")
        if arguments.exists():
            assert running.token not in arguments.read_text()
        with running.client() as client:
            for path in ("/", "/openapi.json", "/local/journal", "/api/2.2/jobs/get?job_id=x"):
                assert running.token not in client.get(path).text


def test_the_description_needs_no_token_and_has_what_requests_may_contain(
    server: RunningWorkspace,
) -> None:
    document = httpx.get(f"{server.http_url}/openapi.json").json()
    create = document["paths"]["/api/2.2/jobs/create"]["post"]["requestBody"]
    schema = create["content"]["application/json"]["schema"]
    assert {"$ref": "#/components/schemas/JobSettings"} in schema["allOf"]
    for name in ("JobReset", "JobUpdate"):
        properties = document["components"]["schemas"][name]["properties"]
        assert properties["new_settings"]["$ref"] == "#/components/schemas/JobSettings"
    get = document["paths"]["/api/2.1/jobs/runs/get"]["get"]["parameters"]
    assert {"run_id", "include_history"} <= {item["name"] for item in get}
    assert not any(path.startswith("/local") for path in document["paths"])
