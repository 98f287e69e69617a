"""The server as a process: start, stop, locks, certificates, and what survives a SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import ssl
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
import trustme

from blocks.local.workspace.certificates import ensure_ca, server_context
from blocks.local.workspace.testing import RunningWorkspace, running_workspace

COMMAND = [sys.executable, "-m", "blocks.local.workspace"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_secret_is_for_the_owner_only(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    command = [*COMMAND, "--state-dir", str(tmp_path / "state"), "--ready-file", str(ready_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = json.loads(line)
        assert json.loads(ready_file.read_text()) == ready
        assert ready.keys() == {"url", "http_url", "token", "ca_file", "pid"}
        assert ready["http_url"] is None
        assert ready["url"].startswith("https://localhost:")
        assert ready["pid"] == process.pid
        assert mode(ready_file) == 0o600
        for name in ("token", "ca.key", "server.pem"):
            assert mode(tmp_path / "state" / name) == 0o600
        assert mode(tmp_path / "state") == 0o700
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_only_the_authority_of_the_workspace_is_needed(server: RunningWorkspace) -> None:
    port = server.url.rpartition(":")[2]
    context = ssl.create_default_context(cafile=str(server.ca_file))
    for name in ("localhost", "127.0.0.1"):
        assert httpx.get(f"https://{name}:{port}/", verify=context).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/")


def test_it_listens_on_loopback_addresses_only(server: RunningWorkspace) -> None:
    connections = psutil.Process(server.pid).net_connections("tcp")
    listening = [item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN]
    assert set(listening) <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in listening


def test_a_second_start_on_the_same_folder_is_refused(server: RunningWorkspace) -> None:
    command = [*COMMAND, "--state-dir", str(server.state_dir)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.strip() == (
        f"A local workspace is already running on {server.state_dir.resolve()}:"
        " stop it, or use another --state-dir."
    )


def test_a_taken_port_is_one_sentence(server: RunningWorkspace, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    command = [*COMMAND, "--state-dir", str(tmp_path), "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.strip() == (
        f"Port {port} on the loopback addresses is not free: choose another."
    )


def test_it_stops_when_its_parent_is_gone(tmp_path: Path) -> None:
    command = [*COMMAND, "--state-dir", str(tmp_path), "--stop-on-stdin-eof"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with running_workspace(tmp_path) as before, before.client() as client:
        job_id = client.post("/api/2.2/jobs/create", json={"name": "kept"}).json()["job_id"]
        client.post("/api/2.0/workspace/mkdirs", json={"path": "/Shared"})
        os.kill(before.pid, signal.SIGKILL)
    with running_workspace(tmp_path) as after, after.client() as client:
        assert (after.token, after.ca_file) == (before.token, before.ca_file)
        job = client.get("/api/2.2/jobs/get", params={"job_id": job_id}).json()
        assert job["settings"]["name"] == "kept"
        objects = client.get("/api/2.0/workspace/list", params={"path": "/"}).json()["objects"]
        assert [item["path"] for item in objects] == ["/Shared"]


def test_certificates_are_kept_while_they_last(tmp_path: Path) -> None:
    server_context(tmp_path)
    authority, leaf = (tmp_path / "ca.pem").read_bytes(), (tmp_path / "server.pem").read_bytes()
    server_context(tmp_path)
    assert ensure_ca(tmp_path).read_bytes() == authority
    assert (tmp_path / "server.pem").read_bytes() == leaf


def test_certificates_near_their_end_or_of_another_authority_are_replaced(tmp_path: Path) -> None:
    server_context(tmp_path)
    leaf = tmp_path / "server.pem"
    own = trustme.CA.from_pem(
        (tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for stale in (own.issue_cert("localhost", not_after=tomorrow), trustme.CA().issue_cert("x")):
        content = stale.private_key_and_cert_chain_pem.bytes()
        leaf.write_bytes(content)
        server_context(tmp_path)
        assert leaf.read_bytes() != content


def test_a_state_folder_of_another_version_is_refused(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "workspace.db")) as older:
        older.execute("PRAGMA user_version = 1")
    command = [sys.executable, "-m", "blocks.local.workspace", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"{tmp_path}/workspace.db was written by another version of the local workspace;"
        " use another --state-dir or remove this one.\n"
    )


def test_a_switch_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "blocks.local.workspace", "--state-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--switch", "max_repair=1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "max_repairs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
