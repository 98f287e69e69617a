from __future__ import annotations

import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from blocks.local.lease import CORE, PREFECT, Group
from blocks.local.stack import StackDetails, StackError, embedded_stack

CLIENT = """
import json, sys
from pathlib import Path
from blocks.local.stack import embedded_stack
with embedded_stack(Path(sys.argv[1]), prefect_server=False) as stack:
    print(json.dumps(stack.environment()), flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


class Client:
    """A client of the stack in a process of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(state_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def details(self) -> dict[str, str]:
        details: dict[str, str] = json.loads(self.read())
        return details

    def leave(self) -> int:
        self.process.communicate("\n")
        return self.process.returncode


@pytest.fixture
def start_client(state_dir: Path) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def start() -> Client:
        clients.append(Client(state_dir))
        return clients[-1]

    yield start
    for client in clients:
        client.process.kill()
        client.process.communicate()


@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    """A state folder for one stack after another; not tmp_path, as PostgreSQL must reach it."""
    with tempfile.TemporaryDirectory(prefix="renewables-stack-") as name:
        yield Path(name) / "some folder" / "state"


def servers_of(state_dir: Path) -> list[psutil.Process]:
    """The supervisor and all that it started."""
    report = Group(state_dir, CORE).read_report()
    assert report is not None
    supervisor = psutil.Process(report.supervisor)
    return [supervisor, *supervisor.children(recursive=True)]


def assert_all_end(processes: list[psutil.Process], *, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while (left := [each for each in processes if is_alive(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def select(url: str, statement: str) -> Any:
    with closing(psycopg.connect(url.replace("+psycopg", ""))) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_every_server_of_the_stack_answers(stack: StackDetails) -> None:
    assert select(stack.database_url, "SELECT 1") == [(1,)]
    with urllib.request.urlopen(f"{stack.s3_endpoint}/healthz") as response:
        assert response.status == 200
    request = urllib.request.Request(
        f"{stack.workspace_url}/api/2.0/preview/scim/v2/Me",
        headers={"Authorization": f"Bearer {stack.workspace_token}"},
    )
    trusted = ssl.create_default_context(cafile=stack.workspace_ca_file)
    with urllib.request.urlopen(request, context=trusted) as response:
        assert response.status == 200
    assert stack.prefect_api_url is None


def test_the_environment_is_what_the_blocks_are_made_from(stack: StackDetails) -> None:
    environment = stack.environment()
    assert environment == {
        "DATABASE_URL": stack.database_url,
        "AWS_ENDPOINT_URL": stack.s3_endpoint,
        "AWS_ACCESS_KEY_ID": stack.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": stack.s3_secret_key,
        "AWS_REGION": stack.s3_region,
        "RENEWABLES_BUCKET": "renewables",
        "DATABRICKS_HOST": stack.workspace_url.removeprefix("https://"),
        "DATABRICKS_TOKEN": stack.workspace_token,
        "DATABRICKS_CA_FILE": stack.workspace_ca_file,
    }


def test_no_secret_is_shown(stack: StackDetails) -> None:
    state_dir = Path(stack.workspace_ca_file).parents[1]
    secrets = [stack.database_url, stack.s3_secret_key, stack.workspace_token]
    command_lines = [" ".join(process.cmdline()) for process in servers_of(state_dir)]
    logs = [log.read_text(errors="replace") for log in (state_dir / "logs").iterdir()]
    for text in [repr(stack), *command_lines, *logs]:
        assert not [secret for secret in secrets if secret in text]


def test_files_are_for_the_owner_alone(stack: StackDetails) -> None:
    state_dir = Path(stack.workspace_ca_file).parents[1]
    # As root, PostgreSQL's own user passes through the state folder, but looks into nothing.
    passing = stat.S_IXOTH if os.geteuid() == 0 else 0
    for path in [state_dir, *state_dir.glob("*"), *state_dir.glob("[lrw]*/*")]:
        allowed = passing if path == state_dir else 0
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == allowed, path


def test_clients_share_a_stack_and_the_last_one_ends_it(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    first, second = start_client(), start_client()
    details = first.details()
    assert second.details() == details
    servers = servers_of(state_dir)
    assert {process.name() for process in servers} >= {"postgres", "weed"}
    assert first.leave() == 0
    assert all(is_alive(process) for process in servers)
    assert second.leave() == 0
    assert_all_end(servers, within=0.5)  # leaving waited for the end


def test_a_killed_client_leaves_nothing_behind(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    client = start_client()
    client.details()
    servers = servers_of(state_dir)
    client.process.kill()
    assert_all_end(servers)


def test_a_client_killed_while_the_stack_starts_leaves_nothing_behind(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    client = start_client()
    while Group(state_dir, CORE).read_report() is None:
        time.sleep(0.01)
    servers = servers_of(state_dir)
    client.process.kill()
    assert_all_end(servers)
    assert Group(state_dir, CORE).read_report() is None


def test_a_client_that_comes_while_the_stack_is_closing_gets_a_new_one(
    start_client: Callable[[], Client],
) -> None:
    first = start_client()
    old = first.details()
    first.process.kill()
    second = start_client()
    assert second.details()["DATABASE_URL"] != old["DATABASE_URL"]
    assert second.leave() == 0


def test_nothing_is_left_of_a_killed_supervisor_and_the_next_start_works(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    client = start_client()
    client.details()
    servers = servers_of(state_dir)
    servers[0].kill()
    after = start_client()  # at once: it has to wait for the servers of the dead supervisor
    assert select(after.details()["DATABASE_URL"], "SELECT 1") == [(1,)]
    assert_all_end(servers, within=0.5)
    assert client.leave() == 0
    assert after.leave() == 0


def test_ctrl_c_reaches_the_client_but_not_its_stack(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    client = start_client()
    client.details()
    servers = servers_of(state_dir)
    assert os.getpgid(client.process.pid) not in {os.getpgid(each.pid) for each in servers}
    client.process.send_signal(signal.SIGINT)
    assert client.process.wait(20) != 0
    assert_all_end(servers, within=0.5)


def test_a_server_that_breaks_down_ends_the_stack(
    state_dir: Path, start_client: Callable[[], Client]
) -> None:
    client = start_client()
    client.details()
    servers = servers_of(state_dir)
    next(process for process in servers if process.name() == "weed").kill()
    assert_all_end(servers)
    report = Group(state_dir, CORE).read_report()
    assert report is not None
    assert report.failure is not None
    assert report.failure.startswith("Object store ended unexpectedly: ")
    assert client.leave() == 0


def test_a_server_that_does_not_start_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with (
        pytest.raises(StackError) as raised,
        embedded_stack(tmp_path, prefect_server=False),
    ):
        pass
    assert str(raised.value).startswith("PostgreSQL did not start: ")
    assert str(raised.value).endswith(f"(log: {tmp_path / 'logs' / 'postgres.log'})")
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_the_prefect_server_is_for_those_who_need_it(state_dir: Path) -> None:
    progress: list[str] = []
    with embedded_stack(state_dir, prefect_server=False) as without:
        with embedded_stack(state_dir, on_progress=progress.append) as stack:
            assert stack.database_url == without.database_url
            assert progress[-1] == "Prefect server is ready"
            assert stack.environment()["PREFECT_API_URL"] == stack.prefect_api_url
            ui = str(stack.prefect_api_url).removesuffix("/api")
            with urllib.request.urlopen(f"{ui}/ui-settings") as response:
                assert json.load(response)["api_url"] == stack.prefect_api_url
            with urllib.request.urlopen(f"{ui}/") as response:
                assert b"<html" in response.read()
            report = Group(state_dir, PREFECT).read_report()
            assert report is not None
        assert not psutil.pid_exists(report.supervisor)
        assert select(without.database_url, "SELECT 1") == [(1,)]
