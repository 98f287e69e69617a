"""Recognisable secrets are planted, everything is run, failures included, and all is searched."""

import base64
import json
import re
import signal
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_databricks import DatabricksCredentials
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from sqlalchemy import create_engine, inspect, text

from blocks.databricks import DatabricksJob, NotebookTask
from blocks.local import postgres
from blocks.local.loopback import HOST
from blocks.local.stack import StackDetails, embedded_stack
from blocks.local.workspace.testing import RunningWorkspace, running_workspace
from blocks.registration import Settings, register
from tests.flows.test_cli import finish, folder, start, wait_until_ready

__all__ = ["folder"]
pytestmark = pytest.mark.slow

DATABASE_PASSWORD = f"planted-database-password-{uuid4().hex}"
S3_SECRET = f"planted-s3-secret-{uuid4().hex}"
# The local workspace's token also is the secret of its service principals.
TOKEN = f"dapi{uuid4().hex}"
# What the service principal gets for it: when it expires, and a signature.
ISSUED_TOKEN = r"\d{10}\.[0-9a-f]{64}"
REJECTED_TOKEN = f"planted-rejected-token-{uuid4().hex}"
CLOSED_DATABASE_PASSWORD = f"planted-closed-database-{uuid4().hex}"
TOLD_BY_A_NOTEBOOK = f"planted-in-a-notebook-{uuid4().hex}"

INDISCREET_NOTEBOOK = f"""# Databricks notebook source
print("{TOLD_BY_A_NOTEBOOK}")
raise ConnectionError(
    "tried postgresql://someone:{TOLD_BY_A_NOTEBOOK}@host/name with "
    "{{'AWS_SECRET_ACCESS_KEY': '{TOLD_BY_A_NOTEBOOK}'}}"
)
"""


def plant(state_dir: Path) -> None:
    """Write the secrets that the servers of the stack find, instead of making their own."""
    pair = {"accessKey": "planted-s3-key", "secretKey": S3_SECRET}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "renewables", "credentials": [pair], "actions": actions}
    for file, content in {
        state_dir / "postgres" / "password": DATABASE_PASSWORD,
        state_dir / "object-store" / "keys.json": json.dumps({"identities": [identity]}),
        state_dir / "workspace" / "token": TOKEN,
    }.items():
        file.parent.mkdir(parents=True)
        file.write_text(content)
        file.chmod(0o600)


@pytest.fixture
def stack(folder: Path) -> Iterator[StackDetails]:
    plant(folder / ".renewables")
    with embedded_stack(folder / ".renewables") as details:
        yield details


@pytest.fixture
def workspace(
    folder: Path, stack: StackDetails, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningWorkspace]:
    """A workspace with a journal; the stack's own has none."""
    (folder / "databricks").mkdir()
    (folder / "databricks" / "token").write_text(TOKEN)
    with monkeypatch.context() as environment, ExitStack() as running:
        for name, value in stack.environment().items():
            if name.startswith("AWS_"):
                environment.setenv(name, value)
        found = running.enter_context(running_workspace(folder / "databricks", "--faults"))
        environment.undo()
        assert found.token == TOKEN
        yield found


@contextmanager
def served(folder: Path, stack: StackDetails) -> Iterator[list[str]]:
    """Serve the deployments; the list has, in the end, what the command said."""
    said: list[str] = []
    process = start(folder, "up")
    try:
        wait_until_ready(process)
        with temporary_settings({PREFECT_API_URL: stack.prefect_api_url}):
            yield said
    finally:
        process.send_signal(signal.SIGTERM)
        _, out, err = finish(process)
        said += [out, err]


@contextmanager
def watched_processes() -> Iterator[set[str]]:
    """Collect the command lines of all processes on this machine."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            for process in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(process.info["cmdline"] or []))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def deploy_run(country: str, folder: Path, **connections: str) -> str:
    """Run the deployment, and return the name of the state in which it ended."""
    run = run_deployment(
        "renewable-analysis/country",
        parameters={
            "country": country,
            "output": str(folder / "output"),
            "connections": connections,
            "repair": {"max_repairs": 1},
        },
        timeout=120,
        poll_interval=0.5,
        as_subflow=False,
    )
    assert isinstance(run, FlowRun)
    assert run.state is not None
    return run.state.name or ""


def save_job(name: str, credentials: DatabricksCredentials, tasks: list[NotebookTask]) -> None:
    credentials.save(name, overwrite=True)
    job = DatabricksJob.load("renewables")
    assert isinstance(job, DatabricksJob)
    DatabricksJob(
        databricks_credentials=credentials,
        job_name=name,
        tasks=tasks or job.tasks,
        parameters=job.parameters,
    ).save(name, overwrite=True)


def everything_in(file: Path) -> bytes:
    """Return what a file holds; of a database all rows, of a Prefect result what it wraps."""
    content = file.read_bytes()
    if content.startswith(b"SQLite format 3\0"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            content += "\n".join(database.iterdump()).encode()
    try:
        wrapped = json.loads(content)["result"]
        content += base64.b64decode(wrapped)
    except (ValueError, KeyError, TypeError):
        pass
    return content


def rows_of_prefect(folder: Path) -> str:
    """Return all rows of the Prefect server's database: logs, events, parameters and the rest."""
    home = folder / ".renewables" / "prefect-postgres"
    port = (home / "data" / "postmaster.pid").read_text().splitlines()[3]
    password = (home / "password").read_text()
    url = f"postgresql+psycopg://{postgres.ROLE}:{password}@{HOST}:{port}/postgres"
    with create_engine(url).connect() as database:
        tables = inspect(database).get_table_names()
        assert {"log", "events", "artifact", "flow_run", "block_document"} <= set(tables)
        return "\n".join(
            str(database.execute(text(f'SELECT t::text FROM "{table}" t')).scalars().all())
            for table in tables
        )


def places(folder: Path, secret: str) -> set[str]:
    """Return the files that hold what matches a regular expression."""
    wanted = re.compile(secret.encode())
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)) for file in files if wanted.search(everything_in(file))}


def test_no_secret_is_found_outside_the_stores_that_keep_it(
    folder: Path,
    stack: StackDetails,
    workspace: RunningWorkspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The stock block asks for OAuth tokens with a client of its own, which trusts this file.
    monkeypatch.setenv("SSL_CERT_FILE", str(workspace.ca_file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    trust = {"verify": str(workspace.ca_file)}
    with watched_processes() as commands, served(folder, stack) as said:
        stack_settings = {k.lower(): v for k, v in stack.environment().items()}
        del stack_settings["databricks_token"]
        principal = {"databricks_client_id": "principal", "databricks_client_secret": TOKEN}
        place = {"databricks_host": workspace.url, "databricks_ca_file": str(workspace.ca_file)}
        register(Settings.model_validate(stack_settings | principal | place))

        workspace.faults.add("exception", task="transform_data", times=1)
        assert deploy_run("Norway", folder) == "Repaired"

        personal = DatabricksCredentials(
            databricks_instance=workspace.host, token=TOKEN, client_kwargs=trust
        )
        notebook = folder / "indiscreet.py"
        notebook.write_text(INDISCREET_NOTEBOOK)
        save_job("indiscreet", personal, [NotebookTask(task_key="tell", notebook=str(notebook))])
        assert deploy_run("Denmark", folder, databricks_job="indiscreet") == "Failed"

        rejected = DatabricksCredentials(
            databricks_instance=workspace.host, token=REJECTED_TOKEN, client_kwargs=trust
        )
        save_job("rejected", rejected, [])
        assert deploy_run("Sweden", folder, databricks_job="rejected") == "Failed"

        closed = ConnectionComponents(
            driver="postgresql+psycopg",
            username="someone",
            password=CLOSED_DATABASE_PASSWORD,
            host="127.0.0.1",
            port=1,
        )
        SqlAlchemyConnector(connection_info=closed).save("closed", overwrite=True)
        assert deploy_run("Finland", folder, database="closed") == "Failed"

        journal = json.dumps(workspace.side_api("GET", "journal"))
        rows = rows_of_prefect(folder)

    notebook.unlink()
    check_files(folder)
    for secret in (TOKEN, S3_SECRET, DATABASE_PASSWORD, REJECTED_TOKEN, CLOSED_DATABASE_PASSWORD):
        assert secret not in "\n".join(commands)
        assert secret not in "\n".join(said)
        assert secret not in journal
        assert secret not in rows
        assert base64.b64encode(f"principal:{secret}".encode()).decode() not in journal
    assert not re.search(ISSUED_TOKEN, journal + rows)
    # What was searched is what there was.
    assert "jobs/runs/repair" in journal
    assert "[REDACTED]@host/name" in rows
    assert TOLD_BY_A_NOTEBOOK not in rows


def nobody_else_reads(folder: Path, file: Path) -> bool:
    """Say whether a file, or one of the folders between it and the working folder, is private."""
    modes = [stat.S_IMODE((folder / each).stat().st_mode) for each in (file, *file.parents[:-1])]
    return any(not mode & 0o077 for mode in modes)


def check_files(folder: Path) -> None:
    # Each server keeps its own secret; while it runs, the stack keeps them for its clients.
    report = ".renewables/run/core.json"
    password = ".renewables/postgres/password"
    keys = ".renewables/object-store/keys.json"
    tokens = {".renewables/workspace/token", ".renewables/workspace/ready.json"}
    assert places(folder, DATABASE_PASSWORD) == {report, password}
    in_store = {name for name in places(folder, S3_SECRET) if "/object-store/" in name}
    assert keys in in_store
    assert places(folder, S3_SECRET) - in_store == {report}
    assert places(folder, TOKEN) == {report, *tokens, "databricks/token"}
    for name in {report, password, *in_store, *tokens, "databricks/token"}:
        assert nobody_else_reads(folder, Path(name)), name
    assert places(folder, ISSUED_TOKEN) == set()
    assert places(folder, REJECTED_TOKEN) == set()
    assert places(folder, CLOSED_DATABASE_PASSWORD) == set()
    # What a notebook says stays in the workspace.
    assert {name.split("/")[0] for name in places(folder, TOLD_BY_A_NOTEBOOK)} == {"databricks"}
