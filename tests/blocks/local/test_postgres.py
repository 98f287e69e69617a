from __future__ import annotations

import getpass
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from blocks.local import postgres
from blocks.local.children import Children, StackError


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for one server after another; not tmp_path, whose parents pytest makes private."""
    with tempfile.TemporaryDirectory(prefix="renewables-postgres-") as name:
        yield Path(name)


def start(children: Children, folder: Path) -> str:
    return postgres.start(children, folder / "postgres", folder / "postgres.log")


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def server_of(folder: Path) -> psutil.Process:
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().split("\n")[0]))


def test_it_is_utf8_keeps_its_promises_and_listens_on_loopback_alone(postgres_url: str) -> None:
    (settings,) = query(
        postgres_url,
        "SELECT current_setting('server_encoding'), current_setting('fsync'),"
        " current_setting('synchronous_commit'), current_setting('listen_addresses'),"
        " current_setting('unix_socket_directories')",
    )
    assert settings == ("UTF8", "on", "on", "127.0.0.1", "")
    assert query(postgres_url, "SELECT min(n) FROM (VALUES ('Å'), ('Zambia')) AS t(n)") == [
        ("Zambia",)
    ]


def test_it_wants_the_password(postgres_url: str) -> None:
    wrong = make_url(postgres_url).set(drivername="postgresql", password="guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong.render_as_string(hide_password=False))


def test_an_interrupted_creation_is_made_good_and_then_data_and_password_last(folder: Path) -> None:
    half = folder / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with Children() as children:
        first = start(children, folder)
        query(first, "CREATE TABLE first AS SELECT 42 AS answer")
    with Children() as children:
        second = start(children, folder)
        assert query(second, "SELECT answer FROM first") == [(42,)]
        assert make_url(second).password == make_url(first).password
    assert not half.exists()
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()


def test_it_runs_as_an_ordinary_user_and_keeps_its_files_private(folder: Path) -> None:
    with Children() as children:
        url = start(children, folder)
        server = server_of(folder)
        assert server.username() == ("nobody" if os.geteuid() == 0 else getpass.getuser())
        lines = [" ".join(each.cmdline()) for each in (server, server.parent()) if each]
        for worker in server.children():
            with suppress(psutil.NoSuchProcess):  # one that serves a query ends with it
                lines.append(" ".join(worker.cmdline()))
    password = make_url(url).password
    assert password
    assert not [line for line in lines if password in line]
    assert password not in (folder / "postgres.log").read_text()
    for file in ("postgres/data", "postgres/password", "postgres.log"):
        assert stat.S_IMODE((folder / file).stat().st_mode) & 0o077 == 0


def test_a_killed_server_recovers_what_it_had_committed(folder: Path) -> None:
    with Children() as children:
        query(start(children, folder), "CREATE TABLE killed AS SELECT 42 AS answer")
        server_of(folder).kill()
    with Children() as children:
        assert query(start(children, folder), "SELECT answer FROM killed") == [(42,)]


def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(folder: Path) -> None:
    with Children() as children:
        start(children, folder)
        pid_file = folder / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as foreign:
        pid_file.write_text("\n".join([str(foreign.pid), *lines[1:]]))
        with Children() as children:
            assert query(start(children, folder), "SELECT 1") == [(1,)]
        assert foreign.poll() is None
        foreign.kill()


def test_a_server_that_lost_its_keeper_makes_way(folder: Path) -> None:
    with Children() as children:
        url = start(children, folder)
        query(url, "CREATE TABLE orphan AS SELECT 42 AS answer")
        orphan = server_of(folder)
        keeper = orphan.parent()
        assert keeper
        keeper.send_signal(signal.SIGKILL)
    assert orphan.is_running()
    with Children() as children:
        assert query(start(children, folder), "SELECT answer FROM orphan") == [(42,)]
        assert not orphan.is_running()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with Children() as children, pytest.raises(StackError) as raised:
        start(children, tmp_path)
    assert str(raised.value).startswith("PostgreSQL did not start: ")
    assert "postgresql.conf" in str(raised.value)
    assert str(raised.value).endswith(f"(log: {tmp_path / 'postgres.log'})")
