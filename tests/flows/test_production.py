"""The deployment commands of the pages, the deployment workflow, and the rights that they name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from botocore.client import BaseClient
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import create_engine, make_url, text

from blocks.local.stack import StackDetails
from flows.connections import Connections
from tests.documents import PRODUCTION, PROJECT, README
from tests.flows.analyses import analyse
from tests.test_readme import clean_copy

pytestmark = pytest.mark.slow

TRIGGER = "prefect deployment run 'renewable-analysis/country' -p country=Norway --watch"


@pytest.fixture
def environment(stack: StackDetails, prefect_api: str) -> dict[str, str]:
    """What a shell of somebody who has filled in ``.env`` for the embedded stack has."""
    return {
        **os.environ,
        **stack.environment(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_API_URL": prefect_api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }


def bash(script: str, folder: Path, environment: dict[str, str]) -> None:
    """Run commands one by one, ending what they left in the background."""
    # With job control, as at a terminal: without, bash starts a worker that is deaf to SIGINT, and
    # that is how a worker stops itself.
    stop_worker = "set -m; trap 'kill $(jobs -p) && wait' EXIT\n"
    done = subprocess.run(
        ["bash", "-e", "-c", stop_worker + script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_of_the_readme_deploy_and_run(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (commands,) = [block for block in README.fences("sh") if "deploy --all" in block]
    assert TRIGGER in commands
    copy = clean_copy(tmp_path / "copy")
    bash(commands, copy, environment)
    assert (copy / "output" / "norway.png").is_file()


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_workflow_deploys_exactly_its_commit(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (commands,) = [block for block in PRODUCTION.fences("sh") if "deploy --all" in block]
    pool, worker = (
        next(line for line in commands.splitlines() if line.startswith(start))
        for start in ("prefect work-pool create", "prefect worker start")
    )
    repository = clean_copy(tmp_path / "me" / "renewables.git")
    git(repository, "init", "--quiet", "--initial-branch=main")
    for name in ("tested", "later"):
        with (repository / "flows" / "connections.py").open("a") as module:
            module.write(f'\nprint("code of the {name} commit")\n')
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", f"--message={name}")
    commit = git(repository, "rev-parse", "HEAD~1")

    runner = tmp_path / "runner"
    git(tmp_path, "clone", "--quiet", str(repository), str(runner))
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "deploy.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if "run" in step]
    install, *others = steps
    assert "uv sync" in install  # the environment of the tests stands for what this makes
    bash(
        "\n".join([pool, *others]),
        runner,
        {
            **environment,
            "GITHUB_SERVER_URL": f"file://{tmp_path}",
            "GITHUB_REPOSITORY": "me/renewables",
            "GITHUB_SHA": commit,
        },
    )
    shutil.rmtree(runner)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bash(f"{worker} > log 2>&1 &\n{TRIGGER}", elsewhere, environment)
    log = (elsewhere / "log").read_text()
    assert "code of the tested commit" in log
    assert "code of the later commit" not in log


@contextmanager
def least_role(stack: StackDetails) -> Iterator[str]:
    """Make the role of the page in PostgreSQL, under another name; give its URL."""
    (commands,) = PRODUCTION.fences("sql")
    name = f"least_{uuid4().hex}"
    url = make_url(stack.database_url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(commands.replace("renewables", name)))
        try:
            role = url.set(username=name, password="change-me")
            yield role.render_as_string(hide_password=False)
        finally:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE; DROP ROLE {name}"))
    engine.dispose()


ACTIONS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
}


def allowed(policy: dict[str, Any], operation: str, given: dict[str, Any]) -> bool:
    """Say whether the policy allows an S3 call, as IAM would read it."""
    action = f"s3:{ACTIONS.get(operation, operation)}"
    path = "" if action == "s3:ListBucket" else f"/{given['Key']}"
    return any(
        action in _list(statement["Action"])
        and any(
            fnmatchcase(f"arn:aws:s3:::my-bucket{path}", resource)
            for resource in _list(statement["Resource"])
        )
        for statement in policy["Statement"]
    )


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture
def s3_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The calls that this process sends to S3: operation and arguments."""
    calls: list[tuple[str, dict[str, Any]]] = []
    send = BaseClient._make_api_call

    def recorded(client: BaseClient, operation: str, given: dict[str, Any]) -> object:
        calls.append((operation, given))
        return send(client, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return calls


@pytest.fixture
def databricks_calls(stack: StackDetails, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The endpoints of the workspace that this process calls, without ``/api/VERSION/``."""
    calls: set[str] = set()
    send = httpx.AsyncClient.send

    async def recorded(
        client: httpx.AsyncClient, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        if str(request.url).startswith(stack.workspace_url):
            calls.add(re.sub(r"^/api/\d\.\d/", "", request.url.path))
        return await send(client, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", recorded)
    return calls


def test_the_rights_of_the_page_are_enough(
    stack: StackDetails,
    failing: Callable[..., Connections],
    s3_calls: list[tuple[str, dict[str, Any]]],
    databricks_calls: set[str],
    tmp_path: Path,
) -> None:
    with least_role(stack) as url:
        name = f"least-{uuid4()}"
        SqlAlchemyConnector(connection_info=url).save(name)
        used = failing(transform_data=1).model_copy(update={"database": name})
        state = analyse(used, tmp_path)
    assert state.name == "Repaired", state

    (policy,) = [json.loads(block) for block in PRODUCTION.fences("json")]
    assert {operation for operation, _ in s3_calls} >= {"PutObject", "GetObject", "DeleteObject"}
    assert not [call for call in s3_calls if not allowed(policy, *call)]

    listed = PRODUCTION.text.partition("The flows call nothing but these:")[2].partition("\n\n")[0]
    assert "jobs/runs/repair" in databricks_calls
    assert databricks_calls <= set(re.findall(r"`([\w/-]+)`", listed))
