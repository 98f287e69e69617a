"""A Prefect server on this machine: the API and the UI, for runs that have no other."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from sqlalchemy import make_url

from blocks.local.children import Children, environment_without
from blocks.local.keeper import kept
from blocks.local.loopback import HOST, answers, free_ports

NAME = "Prefect server"


def start(children: Children, home: Path, log: Path, database_url: str) -> str:
    """Start a Prefect server and return the URL of its API when it answers.

    Args:
        children: What is to end with this process.
        home: Its ``PREFECT_HOME``; made when missing.
        log: The server's log.
        database_url: SQLAlchemy URL of its PostgreSQL database. On SQLite, which a server uses by
            default, it answers 503 ("database is locked") to several flow runs at once.

    Returns:
        ``http://127.0.0.1:PORT/api``; the UI is at the same address without ``/api``.

    Raises:
        StackError: It does not start.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}/api"
    asynchronous = make_url(database_url).set(drivername="postgresql+asyncpg")
    server = children.start(
        NAME,
        kept(
            [sys.executable, "-m", "prefect", "server", "start", "--host", HOST],
            stop_signal=signal.SIGTERM,
        ),
        log=log,
        folder=home,
        environment=environment_without("PREFECT_")
        | {
            "PREFECT_HOME": str(home),
            # Not --port: the UI learns its API's port from the setting alone.
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": asynchronous.render_as_string(
                hide_password=False
            ),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        },
    )
    # A first start makes the database: 6 s more on an idle machine.
    server.wait_until(lambda: answers(f"{url}/health"), within=120)
    return url
